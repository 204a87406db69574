// SPDX-License-Identifier: Apache-2.0
#include "net/front.h"

#include <grpcpp/server_posix.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "net/bridge.h"
#include "net/caller.h"
#include "net/listening_socket.h"
#include "net/relayed_shares.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// When the system has no descriptor left for a new connection.
constexpr auto kAcceptPause = milliseconds(100);
// So long a peer must have worked with us before its standing counts, and between two praises.
constexpr auto kProbation = milliseconds(2'000);
constexpr auto kPraisePause = milliseconds(30'000);
// Four such calls, and the address is banned.
constexpr double kMistakeWeight = proto::kFailuresBurst / 4;
// Bans are news, but not one line per attempt.
constexpr auto kLogPause = milliseconds(10'000);

// A reset leaves no trace in the kernel, as an ordinary close would for a minute.
void close_at_once(int fd) {
  const linger reset{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  close(fd);
}

// Not the peer's doing, or told once already.
bool is_abuse(Fault fault) {
  return fault != Fault::kNone && fault != Fault::kBanned && fault != Fault::kTooMany &&
         fault != Fault::kStalled;
}

Network network_of(const proto::Endpoint& address, const std::optional<proto::PeerId>& relay) {
  return relay ? network_through(*relay, address) : Network::of(address);
}

// Whoever holds more than an equal share of a total that is used up.
bool has_too_much(std::uint64_t own, std::uint64_t total, std::uint64_t limit,
                  std::uint64_t holders) {
  return total > limit && own > limit / std::max<std::uint64_t>(holders, 1);
}

}  // namespace

class Front::Impl {
 public:
  Impl(const ListeningSocket& listening, const identity::Identity& identity,
       const std::optional<identity::SwarmKey>& swarm_key, const FrontOptions& options)
      : options_(options),
        endpoint_(listening.endpoint),
        listening_(listening.fd),
        stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        tls_(identity::make_certificate(identity, swarm_key), swarm_key),
        gate_(options.gate),
        lobby_(std::make_shared<Lobby>()) {
    CHECK(stop_ >= 0);
    const base::MutexLock lock(lobby_->mutex);
    lobby_->front = this;
  }

  ~Impl() {
    {
      const base::MutexLock lock(lobby_->mutex);
      lobby_->front = nullptr;
    }
    close(stop_);
    if (listening_ >= 0) close(listening_);
  }

  const proto::Endpoint& endpoint() const { return endpoint_; }

  void serve(grpc::Server& server) {
    server_ = &server;
    auto bridges = std::make_unique<Bridges>(options_.threads);
    {
      const base::MutexLock lock(mutex_);
      bridges_ = std::move(bridges);
    }
    acceptor_ = std::thread([this] { accept_all(); });
  }

  void stop_accepting() {
    if (stopped_.exchange(true)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(stop_, &one, sizeof(one));
    if (acceptor_.joinable()) acceptor_.join();
    close(std::exchange(listening_, -1));
  }

  void stop() {
    stop_accepting();
    std::unique_ptr<Bridges> bridges;  // ends after the lock, which its threads take
    const base::MutexLock lock(mutex_);
    bridges.swap(bridges_);
  }

  void open_door(const std::string& protocol, Door door) {
    {
      const base::MutexLock lock(doors_mutex_);
      doors_[protocol] = std::move(door);
    }
    tls_.allow(protocol);
  }

  void close_door(const std::string& protocol) {
    tls_.refuse(protocol);
    const base::MutexLock lock(doors_mutex_);
    doors_.erase(protocol);
  }

  void add(int socket, const proto::Endpoint& from, bool takes_visitors,
           const std::optional<proto::PeerId>& relay);
  FrontStats stats() const {
    const base::MutexLock lock(mutex_);
    FrontStats stats = stats_;
    stats.connections = gate_.connections();
    stats.half_message_bytes = half_;
    stats.silent_streams = silent_;
    return stats;
  }

 private:
  class Guest;
  class VisitorAdmission;
  // What visitors have of the front, which they may outlive.
  struct Lobby {
    base::Mutex mutex;
    Impl* front ABSL_GUARDED_BY(mutex) = nullptr;
  };

  void accept_all();
  void receive(Visitor visitor, const std::string& protocol) {
    const base::MutexLock lock(doors_mutex_);
    const auto door = doors_.find(protocol);
    if (door != doors_.end()) return door->second(std::move(visitor));
    visitor.tls.reset();  // closed since the handshake began
    close_at_once(visitor.socket);
  }
  void ban(const Network& network, const proto::PeerId& peer, const proto::Endpoint& address,
           const char* why, Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++stats_.bans;
    gate_.abuse(network, peer, now);
    if (now < next_log_) return;
    next_log_ = now + kLogPause;
    spdlog::warn("hung up on peer {} at {}, and refused for a minute: {}", proto::short_name(peer),
                 proto::to_string(address), why);
  }

  const FrontOptions options_;
  const proto::Endpoint endpoint_;
  int listening_;
  const int stop_;
  TlsContext tls_;
  grpc::Server* server_ = nullptr;
  std::atomic<bool> stopped_ = false;

  mutable base::Mutex mutex_;
  Gatekeeper gate_ ABSL_GUARDED_BY(mutex_);
  RelayedShares relayed_ ABSL_GUARDED_BY(mutex_);
  FrontStats stats_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point next_log_ ABSL_GUARDED_BY(mutex_){};

  const std::shared_ptr<Lobby> lobby_;
  base::Mutex doors_mutex_;  // held while a door is called
  std::map<std::string, Door> doors_ ABSL_GUARDED_BY(doors_mutex_);

  std::atomic<std::uint64_t> half_ = 0, half_holders_ = 0, silent_ = 0, silent_holders_ = 0;

  std::unique_ptr<Bridges> bridges_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

// Of one connection that went to a door.
class Front::Impl::VisitorAdmission final : public Admission {
 public:
  VisitorAdmission(const std::shared_ptr<Lobby>& lobby, const proto::Endpoint& address,
                   const proto::PeerId& peer)
      : lobby_(lobby), address_(address), network_(Network::of(address)), peer_(peer) {}
  ~VisitorAdmission() override {
    const base::MutexLock lock(lobby_->mutex);
    if (Impl* front = lobby_->front; front != nullptr) {
      const base::MutexLock counts(front->mutex_);
      front->gate_.depart(network_, peer_);
    }
  }

  bool is_banned() const override {
    const base::MutexLock lock(lobby_->mutex);
    Impl* front = lobby_->front;
    if (front == nullptr) return false;
    const base::MutexLock counts(front->mutex_);
    return front->gate_.is_banned(peer_, Clock::now());
  }

  void accuse(const char* why) override {
    const base::MutexLock lock(lobby_->mutex);
    Impl* front = lobby_->front;
    if (front == nullptr) return;
    const base::MutexLock counts(front->mutex_);
    front->ban(network_, peer_, address_, why, Clock::now());
  }

 private:
  const std::shared_ptr<Lobby> lobby_;
  const proto::Endpoint address_;
  const Network network_;
  const proto::PeerId peer_;
};

// One connection, as the front sees it.
class Front::Impl::Guest final : public BridgeOwner {
 public:
  Guest(Impl& front, const proto::Endpoint& address, bool came_elsewhere,
        const std::optional<proto::PeerId>& relay)
      : front_(front),
        address_(address),
        came_elsewhere_(came_elsewhere),
        relay_(relay),
        network_(network_of(address, relay)) {}

  Fault on_secured(const proto::PeerId& peer, int local) override {
    if (const Fault fault = identify(peer); fault != Fault::kNone) return fault;
    secured_ = Clock::now();
    set_caller(local, {peer, address_, came_elsewhere_, relay_});
    grpc::AddInsecureChannelFromFd(front_.server_, local);
    return Fault::kNone;
  }

  // Whom the gatekeeper does not want hears no more words than these.
  void on_visitor(std::unique_ptr<BridgeOwner> /*self*/, int socket,
                  std::unique_ptr<TlsStream> tls) override {
    Visitor visitor{socket, std::move(tls), {}, address_, nullptr};
    visitor.peer = visitor.tls->peer();
    if (identify(visitor.peer) != Fault::kNone) {
      visitor.tls->close_notify();
      visitor.tls.reset();
      close(visitor.socket);
      const base::MutexLock lock(front_.mutex_);
      return front_.gate_.depart(network_, peer_);
    }
    visitor.admission = std::make_shared<VisitorAdmission>(front_.lobby_, address_, visitor.peer);
    const std::string protocol = visitor.tls->protocol();
    front_.receive(std::move(visitor), protocol);
  }

  Verdict on_traffic(const Traffic& before, const Traffic& after) override {
    front_.half_ += after.half - before.half;
    front_.silent_ += after.silent - before.silent;
    front_.half_holders_ += (after.half > 0) - (before.half > 0);
    front_.silent_holders_ += (after.silent > 0) - (before.silent > 0);
    if (after.half > before.half &&
        has_too_much(after.half, front_.half_, proto::kMaxHalfMessageBytes, front_.half_holders_)) {
      return {Fault::kHalfMessages, {}};
    }
    if (after.silent > before.silent &&
        has_too_much(after.silent, front_.silent_, proto::kMaxSilentStreamsInAll,
                     front_.silent_holders_)) {
      return {Fault::kSilentStreams, {}};
    }
    spoke_ = after.opened > after.silent;
    if (after.opened == before.opened && after.resets == before.resets) return {};
    const base::MutexLock lock(front_.mutex_);
    const auto now = Clock::now();
    const Verdict verdict = front_.gate_.count(network_, *peer_, after.opened - before.opened,
                                               after.resets - before.resets, now);
    if (verdict.hold_until > now) ++front_.stats_.slowed;
    return verdict;
  }

  Fault on_tick() override {
    const auto now = Clock::now();
    const base::MutexLock lock(front_.mutex_);
    if (front_.gate_.is_banned(*peer_, now)) return Fault::kBanned;
    if (spoke_ && now - secured_ > kProbation && now >= next_praise_) {
      front_.gate_.praise(network_, *peer_, now);
      next_praise_ = now + kPraisePause;
    }
    return Fault::kNone;
  }

  // At once: what it still gets of us takes a moment to leave.
  void on_hung_up(Fault fault) override {
    const base::MutexLock lock(front_.mutex_);
    if (is_abuse(fault)) ban(words_of(fault), Clock::now());
  }

  void on_ended(const BridgeEnd& end) override {
    const auto now = Clock::now();
    const base::MutexLock lock(front_.mutex_);
    if (!identified_) front_.gate_.fail(network_, now);
    if (end.was_cut && !front_.stopped_) {
      // What may be a mistake costs, and is no attack by itself.
      if (end.may_be_mistake) {
        front_.gate_.strike(network_, now, kMistakeWeight);
      } else {
        ban("gRPC refused what it sent", now);
      }
    }
    if (end.fault != Fault::kNone) {
      ++front_.stats_.hung_up[static_cast<std::size_t>(end.fault)];
      spdlog::debug("connection from {} ended: {}", proto::to_string(address_),
                    words_of(end.fault));
    } else if (!end.was_secured) {
      spdlog::debug("connection from {} refused: {}", proto::to_string(address_),
                    std::string(end.status.message()));
    }
    front_.gate_.depart(network_, peer_);
    if (relay_) front_.relayed_.depart(*relay_, identified_);
  }

 private:
  // Whether the gate lets the peer in that TLS has proven.
  Fault identify(const proto::PeerId& peer) {
    const base::MutexLock lock(front_.mutex_);
    identified_ = true;
    if (relay_) front_.relayed_.identified(*relay_);
    const Refusal refusal = front_.gate_.identify(network_, peer, Clock::now());
    if (refusal != Refusal::kNone) {
      ++front_.stats_.refused[static_cast<std::size_t>(refusal)];
      return refusal == Refusal::kPeerFull ? Fault::kTooMany : Fault::kBanned;
    }
    peer_ = peer;
    return front_.stopped_ ? Fault::kStalled : Fault::kNone;
  }

  void ban(const char* why, Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(front_.mutex_) {
    if (peer_) front_.ban(network_, *peer_, address_, why, now);
  }

  Impl& front_;
  const proto::Endpoint address_;
  const bool came_elsewhere_;  // by add(), not at the port
  const std::optional<proto::PeerId> relay_;
  const Network network_;
  std::optional<proto::PeerId> peer_;  // while the gate counts it
  bool identified_ = false;
  bool spoke_ = false;
  Clock::time_point secured_{}, next_praise_{};
};

void Front::Impl::add(int socket, const proto::Endpoint& from, bool takes_visitors,
                      const std::optional<proto::PeerId>& relay) {
  const base::MutexLock lock(mutex_);
  const auto now = Clock::now();
  Refusal refusal = stopped_ || bridges_ == nullptr ? Refusal::kFull : Refusal::kNone;
  if (refusal == Refusal::kNone && relay) refusal = relayed_.arrive(*relay, now);
  if (refusal == Refusal::kNone) {
    refusal = gate_.arrive(network_of(from, relay), now);
    if (refusal != Refusal::kNone && relay) relayed_.depart(*relay, false);
  }
  if (refusal != Refusal::kNone) {
    ++stats_.refused[static_cast<std::size_t>(refusal)];
    return close_at_once(socket);
  }
  ++stats_.accepted;
  BridgePlan plan;
  plan.socket = socket;
  plan.tls = &tls_;
  plan.takes_visitors = takes_visitors;
  plan.limits = options_.frames;
  plan.owner = std::make_unique<Guest>(*this, from, !takes_visitors, relay);
  bridges_->add(std::move(plan));
}

void Front::Impl::accept_all() {
  while (!stopped_) {
    pollfd waits[2] = {{listening_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
    while (!stopped_) {
      sockaddr_storage address{};
      socklen_t size = sizeof(address);
      const int fd = accept4(listening_, reinterpret_cast<sockaddr*>(&address), &size,
                             SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        add(fd, endpoint_of(address), true, std::nullopt);
        continue;
      }
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        std::this_thread::sleep_for(kAcceptPause);
      }
      if (errno != ECONNABORTED && errno != EINTR) break;
    }
  }
}

absl::StatusOr<std::unique_ptr<Front>> Front::open(
    const proto::Endpoint& listen, const identity::Identity& identity,
    const std::optional<identity::SwarmKey>& swarm_key, const FrontOptions& options) {
  const auto listening = listen_on(listen);
  if (!listening.ok()) return listening.status();
  return std::unique_ptr<Front>(
      new Front(std::make_unique<Impl>(*listening, identity, swarm_key, options)));
}

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Front::~Front() { impl_->stop(); }
const proto::Endpoint& Front::endpoint() const { return impl_->endpoint(); }
void Front::serve(grpc::Server& server) { impl_->serve(server); }
void Front::add(int socket, const proto::Endpoint& from,
                const std::optional<proto::PeerId>& relay) {
  impl_->add(socket, from, false, relay);
}
void Front::open_door(const std::string& protocol, Door door) {
  impl_->open_door(protocol, std::move(door));
}
void Front::close_door(const std::string& protocol) { impl_->close_door(protocol); }
void Front::stop_accepting() { impl_->stop_accepting(); }
void Front::stop() { impl_->stop(); }
FrontStats Front::stats() const { return impl_->stats(); }

}  // namespace shoal::net
