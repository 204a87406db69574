// SPDX-License-Identifier: Apache-2.0
#include "dht/udp_service.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dht/kademlia.h"
#include "dht/reply_paths.h"
#include "dht/table_keeper.h"
#include "dht/tunnel_endpoint.h"
#include "dht/udp_socket.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

namespace asio = boost::asio;

// Datagrams taken per wake-up before timers and others have their turn.
constexpr int kReceiveBatch = 64;
// How much a crash may forget.
constexpr auto kSaveInterval = std::chrono::minutes(10);
// Addresses of --join over all calls, as the core remembers them.
constexpr std::size_t kMaxJoinedBy = 64;
// Looks so often whether there is somebody to remember yet.
constexpr auto kFirstSave = std::chrono::seconds(15);
// A receive error that does not pass (it should not exist) must not spin.
constexpr auto kErrorPause = std::chrono::milliseconds(20);

std::uint64_t unix_now_s() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

TimePoint steady_now() { return TimePoint(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace

// What the pending handlers hold on to: it outlives the service until the last of them has run.
class UdpService::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(UdpSocket socket, const identity::Identity& identity, const UdpServiceOptions& options)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        pause_(socket_.get_executor()),
        save_(socket_.get_executor()),
        on_reachable_(options.on_reachable),
        on_tunnelled_(options.on_tunnelled),
        tunnels_(options.tunnels),
        hears_udp_(options.udp == UdpUse::kAuto || options.tunnels == nullptr),
        choice_(options.tunnels != nullptr, options.udp),
        core_(config_of(options), identity,
              identity::Random::from_system().bytes<identity::Random::kSeedBytes>(), steady_now()) {
    local_ = socket_.local_endpoint();
    if (tunnelled_) core_.set_tunnelled(true, steady_now());
    was_client_ = core_.is_client();
    if (options.table_file.empty()) return;
    keeper_.emplace(options.table_file, core_.swarm_id(), options.warn);
    held_ = keeper_->load(unix_now_s());
    if (!options.hold_table) restore_held();
  }

  bool holds_table() const { return !held_.empty(); }
  std::size_t recall() {
    const std::size_t peers = restore_held();
    flush();
    return peers;
  }
  bool is_answered_at_joined() const { return answered_at_joined_; }

  void run() {
    receive();
    if (tunnels_ != nullptr) {
      tunnels_->start([weak = weak_from_this()](std::string_view bytes, const proto::Endpoint& at) {
        if (const auto self = weak.lock(); self != nullptr && !self->closed_)
          self->take_tunnelled(bytes, at);
      });
    }
    if (keeper_) {
      save_later();
      arm();
    }
  }

  void close() {
    if (keeper_ && !closed_) keeper_->save(core_.table(), unix_now_s());
    closed_ = true;
    if (tunnels_ != nullptr) tunnels_->close();
    socket_.close();
    timer_.cancel();
    pause_.cancel();
    save_.cancel();
    bootstraps_.clear();
    finds_.clear();
    publishes_.clear();
  }

  Sightings sightings() const {
    Sightings result{core_.observed_addresses(steady_now()), {}};
    for (const LocalAddress& address : met_.all()) result.met.push_back({address, local_.port});
    return result;
  }
  void set_own_addresses(std::vector<proto::Endpoint> own) {
    std::sort(own.begin(), own.end());
    if (own == own_) return;
    const bool first = own_.empty();
    own_ = std::move(own);
    std::vector<LocalAddress> addresses;
    for (const proto::Endpoint& endpoint : own_) addresses.push_back(endpoint.address);
    met_.set_own(std::move(addresses));
    if (first) return;
    core_.addresses_changed(steady_now());
    // Another network: it may let pass what the last one did not.
    if (!joined_by_.empty()) choice_.asked(steady_now());
    flush();
  }

  void tell_reachable(std::optional<bool> reachable) {
    core_.tell_reachable(reachable, steady_now());
    // Its own finding, and told where it was found: on_reachable is for what the DHT finds.
    was_client_ = core_.is_client();
    flush();
  }

  const proto::Endpoint& local() const { return local_; }
  bool is_tunnelled() const { return tunnelled_; }
  Kademlia& core() { return core_; }

  void bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms,
                 std::function<void(absl::Status)> done) {
    std::string names = absl::StrJoin(
        peers, ", ",
        [](std::string* out, const proto::Endpoint& peer) { *out += proto::to_string(peer); });
    for (const proto::Endpoint& peer : peers) {
      if (joined_by_.size() < kMaxJoinedBy) joined_by_.insert(peer);
      joined_privately_ |= peer.is_private();
    }
    choice_.asked(steady_now());
    const OperationId id =
        core_.bootstrap(std::move(peers), milliseconds(timeout_ms), steady_now());
    bootstraps_[id] = {std::move(done), std::move(names), timeout_ms};
    flush();
  }
  void look_up(const Key& key, std::function<void(Found)> done) {
    finds_[core_.find(key, steady_now())] = std::move(done);
    flush();
  }
  void publish(const wire::SignedRecord& record, std::vector<Key> keys,
               std::function<void(int)> done) {
    publishes_[core_.publish(record, std::move(keys), steady_now())] = std::move(done);
    flush();
  }

 private:
  struct BootstrapWait {
    std::function<void(absl::Status)> done;
    std::string names;
    std::uint32_t timeout_ms = 0;
  };

  std::size_t restore_held() {
    const std::vector<Contact> contacts = std::exchange(held_, {});
    core_.restore(contacts, false, steady_now());
    return contacts.size();
  }

  static KademliaConfig config_of(const UdpServiceOptions& options) {
    KademliaConfig config;
    config.client_mode = options.client_mode;
    config.swarm_key = options.swarm_key;
    return config;
  }

  void receive() {
    socket_.async_wait_readable(
        [self = shared_from_this()](const boost::system::error_code& error) {
          if (self->closed_) return;
          if (error) return self->pause();
          self->drain();
        });
  }

  void drain() {
    for (int i = 0; i < kReceiveBatch; ++i) {
      const auto arrival = socket_.receive(buffer_);
      if (!arrival) break;
      if (arrival->size == 0) continue;
      const TimePoint now = steady_now();
      // None comes from there, and with --udp off none is heard.
      if (is_tunnel(arrival->from) || !hears_udp_) continue;
      const auto sender =
          core_.handle_datagram({buffer_.data(), arrival->size}, arrival->from, now);
      if (sender == Kademlia::Sender::kPeer) {
        choice_.heard_by_udp(arrival->from, note_joined(arrival->from), now);
        note_way();
      }
      if (arrival->to && sender != Kademlia::Sender::kUnknown)
        met_.heard(arrival->from, *arrival->to);
      if (arrival->to && sender == Kademlia::Sender::kPeer)
        paths_.heard(arrival->from, *arrival->to, now);
      // What answers this datagram leaves from where it came to, whoever sent it: by UDP.
      transmit(&*arrival);
    }
    finish();
    if (!closed_) receive();
  }

  void take_tunnelled(std::string_view bytes, const proto::Endpoint& from) {
    const TimePoint now = steady_now();
    const auto sender = core_.handle_datagram(bytes, from, now);
    if (sender == Kademlia::Sender::kPeer && !is_tunnel(from)) {
      choice_.heard_in_tunnel(from, note_joined(from), now);
      note_way();
    }
    finish();
  }

  // Of somebody who answered: whether we joined by it, or by nobody.
  bool note_joined(const proto::Endpoint& from) {
    const bool joined = joined_by_.contains(from);
    answered_at_joined_ |= joined;
    return joined || joined_by_.empty();
  }

  // After all that may have changed the way.
  void note_way() {
    const WayChoice::Way way = choice_.way();
    if (std::exchange(last_way_, way) == way) return;
    if (way == WayChoice::Way::kUdp && tunnels_ != nullptr) tunnels_->hang_up();
    const bool tunnelled = way == WayChoice::Way::kTunnel;
    // Undecided: what others know of us holds until then.
    if (way == WayChoice::Way::kEither || std::exchange(tunnelled_, tunnelled) == tunnelled) return;
    core_.set_tunnelled(tunnelled, steady_now());
    if (on_tunnelled_) on_tunnelled_(tunnelled);
  }

  // Whether the datagram has gone through a connection, or may go nowhere else.
  bool send_tunnelled(const Datagram& datagram) {
    if (tunnels_ == nullptr) return false;
    if (!is_tunnel(datagram.to)) {
      const TimePoint now = steady_now();
      if (choice_.way() == WayChoice::Way::kUdp) return false;
      if (choice_.is_probing(now) && joined_by_.contains(datagram.to)) return false;
      // A stranger's word must not make us connect to our own network.
      if (datagram.to.is_private() && !joined_privately_)
        return choice_.way() == WayChoice::Way::kTunnel;
    }
    const bool enough = choice_.way() != WayChoice::Way::kEither || is_tunnel(datagram.to) ||
                        tunnels_->is_up(datagram.to);
    tunnels_->send(datagram.bytes, datagram.to);
    return enough;
  }

  void pause() {
    pause_.expires_after(kErrorPause);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
      if (!self->closed_) self->receive();
    });
  }

  void save_later() {
    save_.expires_after(kFirstSave);
    save_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->closed_) return;
      const TimePoint now = steady_now();
      // A peer that is killed or loses its power finds those again that it had just met.
      if (self->core_.table().verified() > 0 && now >= self->save_at_) {
        self->keeper_->save(self->core_.table(), unix_now_s());
        self->save_at_ = now + kSaveInterval;
      }
      self->save_later();
    });
  }

  // Sends what is due and sets the timer; callbacks come from the io_context.
  void flush() {
    transmit();
    arm();
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      if (!self->closed_) self->finish();
    });
  }

  void finish() {
    transmit();
    // A callback may start operations, or destroy the service.
    while (!closed_) {
      std::optional<Event> event = core_.poll_event();
      if (!event) break;
      call(*event);
    }
    if (closed_) return;
    transmit();
    arm();
    if (!tunnelled_ && std::exchange(was_client_, core_.is_client()) != was_client_ &&
        on_reachable_) {
      on_reachable_(!was_client_);
    }
  }

  void call(Event& event) {
    switch (event.kind) {
      case Event::Kind::kBootstrapDone:
        return call_bootstrap(event);
      case Event::Kind::kFindDone: {
        auto node = finds_.extract(event.id);
        if (!node.empty() && node.mapped())
          node.mapped()({std::move(event.records), event.answered});
        return;
      }
      case Event::Kind::kPublishDone: {
        auto node = publishes_.extract(event.id);
        if (!node.empty() && node.mapped()) node.mapped()(event.replicas);
        return;
      }
    }
  }
  void call_bootstrap(const Event& done) {
    auto node = bootstraps_.extract(done.id);
    if (node.empty() || !node.mapped().done) return;
    const BootstrapWait& wait = node.mapped();
    if (done.ok) return wait.done(absl::OkStatus());
    if (wait.names.empty())
      return wait.done(absl::InvalidArgumentError("no address of a peer was given to join"));
    wait.done(absl::UnavailableError(absl::StrCat(
        "no answer from ", wait.names, " within ", wait.timeout_ms / 1000.0,
        " s: check the address, that a node runs there, and that the swarm key is the same")));
  }

  void transmit(const UdpSocket::Arrival* asked = nullptr) {
    while (const auto datagram = core_.poll_transmit()) {
      if (closed_) continue;
      const bool answer = asked != nullptr && datagram->to == asked->from;
      if (!answer && send_tunnelled(*datagram)) continue;
      const LocalAddress* from =
          answer && asked->to ? &*asked->to : paths_.towards(datagram->to, steady_now());
      if (socket_.send(datagram->bytes, datagram->to, from) || from == nullptr) continue;
      // That address is gone, or leads nowhere: let the kernel choose. What fails even so is loss,
      // which the core expects.
      paths_.failed(datagram->to);
      socket_.send(datagram->bytes, datagram->to, nullptr);
    }
  }

  void arm() {
    std::optional<TimePoint> next = core_.next_timeout();
    const std::optional<TimePoint> choice = choice_.next(steady_now());
    if (choice && (!next || *choice < *next)) next = choice;
    if (!next || (armed_ && *armed_ <= *next))
      return;  // an early wake-up is harmless, and arms again
    armed_ = next;
    timer_.expires_at(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(next->time_since_epoch())));
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->closed_) return;  // armed anew, or closed
      self->armed_.reset();
      self->choose_way();
      self->core_.handle_timeout(steady_now());
      self->finish();
    });
  }

  void choose_way() {
    choice_.handle_timeout(steady_now());
    note_way();
    if (!choice_.take_probe()) return;
    core_.bootstrap({joined_by_.begin(), joined_by_.end()}, WayChoice::kProbe, steady_now());
  }

  UdpSocket socket_;
  asio::steady_timer timer_, pause_, save_;
  const std::function<void(bool)> on_reachable_, on_tunnelled_;
  const std::shared_ptr<DatagramTunnels> tunnels_;
  const bool hears_udp_;
  WayChoice choice_;
  WayChoice::Way last_way_ = choice_.way();
  bool tunnelled_ = last_way_ == WayChoice::Way::kTunnel;
  std::set<proto::Endpoint> joined_by_;
  bool joined_privately_ = false;
  bool answered_at_joined_ = false;
  std::vector<Contact> held_;  // of the last run
  Kademlia core_;
  std::vector<proto::Endpoint> own_;
  bool was_client_ = core_.is_client();
  std::optional<TableKeeper> keeper_;
  TimePoint save_at_{};
  proto::Endpoint local_;
  bool closed_ = false;
  std::optional<TimePoint> armed_;
  std::array<char, proto::kMaxDatagramBytes + 1> buffer_;  // one more byte shows what is too long
  ReplyPaths paths_;
  MeetingPoints met_;
  std::map<OperationId, BootstrapWait> bootstraps_;
  std::map<OperationId, std::function<void(Found)>> finds_;
  std::map<OperationId, std::function<void(int)>> publishes_;
};

UdpService::UdpService(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
UdpService::~UdpService() { impl_->close(); }

proto::Endpoint UdpService::local_endpoint() const { return impl_->local(); }
identity::SwarmId UdpService::swarm_id() const { return impl_->core().swarm_id(); }
const proto::PeerId& UdpService::peer_id() const { return impl_->core().peer_id(); }
Sightings UdpService::sightings() const { return impl_->sightings(); }
void UdpService::set_own_addresses(std::vector<proto::Endpoint> own) {
  impl_->set_own_addresses(std::move(own));
}
void UdpService::bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms,
                           std::function<void(absl::Status)> done) {
  impl_->bootstrap(std::move(peers), timeout_ms, std::move(done));
}
void UdpService::look_up(const Key& key, std::function<void(Found)> done) {
  impl_->look_up(key, std::move(done));
}
void UdpService::find(const Key& key, std::function<void(std::vector<Record>)> done) {
  look_up(key, [done = std::move(done)](Found found) { done(std::move(found.records)); });
}
void UdpService::publish(const wire::SignedRecord& record, std::vector<Key> keys,
                         std::function<void(int)> done) {
  impl_->publish(record, std::move(keys), std::move(done));
}
bool UdpService::is_tunnelled() const { return impl_->is_tunnelled(); }
std::vector<Contact> UdpService::contacts(std::size_t most) const {
  return impl_->core().verified_contacts(most);
}
ObservedPorts UdpService::observed_ports(bool v4) const {
  return impl_->core().observed_ports(v4, steady_now());
}
void UdpService::tell_reachable(std::optional<bool> reachable) { impl_->tell_reachable(reachable); }
bool UdpService::holds_table() const { return impl_->holds_table(); }
std::size_t UdpService::recall() { return impl_->recall(); }
bool UdpService::is_answered_at_joined() const { return impl_->is_answered_at_joined(); }
DhtStats UdpService::stats() const { return impl_->core().stats(); }

absl::StatusOr<std::unique_ptr<UdpService>> UdpService::open(asio::io_context& io,
                                                             const identity::Identity& identity,
                                                             const UdpServiceOptions& options) {
  absl::StatusOr<UdpSocket> socket = UdpSocket::open(io, options.listen);
  if (!socket.ok()) return socket.status();
  auto impl = std::make_shared<Impl>(*std::move(socket), identity, options);
  // The first wait is set here, before any handler can run concurrently with the caller's other
  // threads' work on it.
  impl->run();
  return std::unique_ptr<UdpService>(new UdpService(std::move(impl)));
}

}  // namespace shoal::dht
