// SPDX-License-Identifier: Apache-2.0
#include "node/member/membership.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "net/interfaces.h"
#include "node/member/ports.h"
#include "proto/tunnel.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Storing a record takes a lookup; a lone or lossy swarm must not hold the node up for longer.
constexpr std::uint32_t kPublishTimeoutMs = 5'000;
constexpr std::uint32_t kWithdrawTimeoutMs = 2'000;
// A node that has lost everybody looks where the names of its --join lead, this often.
constexpr auto kLookForOthers = milliseconds(15'000);
// Prometheus waits ten seconds as a rule; a net thread that is so late has other troubles.
constexpr std::uint32_t kSnapshotTimeoutMs = 2'000;
constexpr std::uint32_t kFindTimeoutMs = 5'000;
// Contacts of which helpers are chosen.
constexpr std::size_t kHelpersLookedAt = 64;
constexpr std::uint32_t kRejoinMs = 4'000;
// For those of the swarm that a first node was in: who lives answers within a moment, and a swarm
// that is started anew must not wait long for nobody. All of them are asked within this (eight at a
// time, every 400 ms).
constexpr std::uint32_t kFormerSwarmMs = 3'500;

}  // namespace

Membership::Membership(const identity::Identity& identity, MembershipOptions options)
    : identity_(identity),
      options_(std::move(options)),
      look_for_others_at_(Clock::now() + kLookForOthers) {
  if (options_.cancelled != nullptr) stop_ = options_.cancelled;
  std::vector<std::string> addresses = options_.join_names;
  for (const proto::Endpoint& peer : options_.join) addresses.push_back(proto::to_string(peer));
  if (!addresses.empty()) joiner_.emplace(std::move(addresses), *stop_);
}

Membership::~Membership() {
  if (closing_.joinable()) stop_server(milliseconds(0));
  leave();
  if (relay_ != nullptr) server_.front->close_door(proto::kTunnelProtocol);
}

absl::Status Membership::open(const std::vector<grpc::Service*>& services) {
  for (const proto::Endpoint& address : options_.announce) {
    absl::Status usable = proto::check_address(address, proto::AddressUse::kAnnounce);
    if (!usable.ok()) return usable;
  }
  io_ = std::make_unique<net::IoThread>();
  dht::UdpServiceOptions dht;
  dht.listen = options_.listen;
  dht.swarm_key = options_.swarm_key;
  dht.table_file = options_.contacts_file;
  dht.hold_table = joiner_.has_value();
  dht.warn = [](const std::string& text) { spdlog::warn("{}", text); };
  dht.on_reachable = [](bool reachable) {
    if (reachable) {
      spdlog::info("strangers reach this node: it takes part in the directory again");
    } else {
      spdlog::warn(
          "strangers do not reach this node's UDP port, so others in the directory no longer ask "
          "it: forward the port of --listen on the router, or open it in the firewall");
    }
  };
  dht.udp = options_.udp;
  dht.on_tunnelled = [](bool tunnelled) {
    if (tunnelled) {
      spdlog::info(
          "UDP does not pass between this machine and the swarm: the directory is asked over TCP");
    } else {
      spdlog::info("UDP passes again: the directory is asked by it");
    }
  };
  reach_service_ = std::make_unique<ReachService>(*io_, identity_, options_.swarm_key);
  std::vector<grpc::Service*> all = services;
  all.push_back(&reach_service_->calls());
  punch_desk_ = std::make_unique<net::PunchDesk>(*io_, punch_options());
  all.push_back(punch_desk_.get());
  auto ports = open_ports(*io_, identity_, dht, all);
  if (!ports.ok()) return ports.status();
  server_ = std::move(ports->server);
  swarm_ = std::make_unique<net::Directory>(*io_, std::move(ports->dht));
  port_ = swarm_->endpoint().port;
  if (options_.relay) {
    relay_ = std::make_unique<net::Relay>(*options_.relay);
    server_.front->open_door(proto::kTunnelProtocol, relay_->door());
  }
  punch_desk_->open(port_);
  watch_addresses();
  if (!joiner_) rejoin();
  if (!joiner_) start_reach();
  return absl::OkStatus();
}

// Callers that came through a relay may meet us directly.
net::PunchDeskOptions Membership::punch_options() {
  return {
      [this](int socket, const proto::Endpoint& from) { server_.front->add(socket, from); },
      [this]() -> std::optional<proto::Endpoint> {
        const auto anchors = rung_ != nullptr ? rung_->anchors() : std::vector<proto::Endpoint>();
        if (anchors.empty()) return std::nullopt;
        return anchors.front();
      },
      [this] {
        return addresses_ != nullptr ? addresses_->list() : std::vector<proto::Endpoint>();
      },
      [this] {
        const auto anchors = rung_ != nullptr ? rung_->anchors() : std::vector<proto::Endpoint>();
        return std::ranges::any_of(anchors, [&](const proto::Endpoint& anchor) {
          return anchor.address == anchors.front().address && anchor.port != anchors.front().port;
        });
      },
      [this] { return !swarm_->dht().is_tunnelled(); }};
}

// A first node that comes back finds its swarm by the contacts of its last run.
void Membership::rejoin() {
  const auto stats = directory();
  if (!stats || stats->contacts == 0) return;
  spdlog::info("looks for the swarm that this node was in: {} of its nodes are known",
               stats->contacts);
  if (swarm_->bootstrap({}, kFormerSwarmMs, *stop_).ok()) {
    rejoined_ = true;
    spdlog::info("is in the swarm again that it was in (for one of its own, remove {})",
                 options_.contacts_file);
  } else {
    spdlog::info("nobody of it answers: begins alone, and goes on asking them");
  }
}

void Membership::watch_addresses() {
  OwnAddressesOptions own{swarm_->endpoint(), options_.join, options_.announce};
  for (proto::Endpoint& address : own.announced) {
    if (address.port == 0) address.port = own.bound.port;
  }
  io_->run_and_wait([&] {
    addresses_.reset();
    addresses_ =
        std::make_unique<OwnAddresses>(io_->context(), swarm_->dht(), std::move(own), [this] {
          if (announcer_ != nullptr) announcer_->announce_change();
          if (reach_on_net_ != nullptr) reach_on_net_->look_again();
        });
  });
}

absl::Status Membership::join(const Joiner::AfterFailure& after_failure) {
  if (!joiner_) return absl::OkStatus();  // again, already
  const auto tell = [this](const std::string& addresses) {
    if (options_.on_silence) options_.on_silence(addresses);
  };
  const Joiner::AfterFailure told = [&](const std::vector<proto::Endpoint>& peers) {
    tell(fmt::format("{}", fmt::join(joiner_->addresses(), ", ")));
    return after_failure(peers);
  };
  absl::Status joined = joiner_->join(*swarm_, options_.join_timeout_ms, told);
  if (!joined.ok()) return joined;
  tell("");
  if (joiner_->found_former()) {
    spdlog::warn(
        "nobody answers at {}: this node is in the swarm again that it was in before, which it "
        "found by its contacts ({}). Mend --join, or remove that file for another swarm",
        fmt::join(joiner_->addresses(), ", "), options_.contacts_file);
  }
  if (!options_.join_names.empty()) {
    // Now it is known by which of our addresses the swarm is reached.
    options_.join = joiner_->endpoints();
    watch_addresses();
  }
  start_reach();
  return joined;
}

void Membership::start_reach() {
  if (server_.front == nullptr || reach_ != nullptr) return;
  ReachOptions options{options_.reach, port(), options_.announce, options_.may_map,
                       options_.always_ask_router};
  for (proto::Endpoint& address : options.announced) {
    if (address.port == 0) address.port = options.port;
  }
  ReachHooks hooks;
  hooks.own = [this] { return addresses_->list(); };
  hooks.machine = [] {
    std::vector<proto::Endpoint> all;
    for (const net::InterfaceAddress& entry : net::interface_addresses())
      all.push_back(entry.address);
    return all;
  };
  hooks.helpers = [this] { return helpers(); };
  hooks.changed = [this] {
    io_->run_and_wait([this] {
      if (announcer_ != nullptr) announcer_->announce_change();
    });
  };
  hooks.udp_reached = [this](std::optional<bool> reached) {
    io_->run_and_wait([&] { swarm_->dht().tell_reachable(reached); });
  };
  hooks.woke = [this] {
    io_->run_and_wait([this] {
      addresses_->look();
      if (!options_.join.empty()) swarm_->dht().bootstrap(options_.join, kRejoinMs, [](auto) {});
      // Our record may have expired meanwhile.
      if (announcer_ != nullptr) announcer_->announce_change();
    });
  };
  hooks.relays = relay_hooks();
  reach_ = std::make_unique<ReachKeeper>(identity_, options_.swarm_key, std::move(options),
                                         std::move(hooks));
  io_->run_and_wait([this] { reach_on_net_ = reach_.get(); });
}

RelayHooks Membership::relay_hooks() {
  io_->run_and_wait([this] {
    rung_ =
        std::make_unique<RelayKeeper>(io_->context(), identity_, options_.swarm_key, *server_.front,
                                      port(), [this] { return relay_candidates(); });
  });
  RelayHooks hooks;
  hooks.start = [this] {
    io_->run_and_wait([this] {
      rung_->start([this] {
        {
          const base::MutexLock lock(relays_mutex_);
          relays_ = rung_->addresses();
        }
        if (reach_on_net_ != nullptr) reach_on_net_->relays_changed();
      });
      const base::MutexLock lock(relays_mutex_);
      relays_ = rung_->addresses();
    });
  };
  hooks.stop = [this] {
    io_->run_and_wait([this] {
      rung_->stop();
      const base::MutexLock lock(relays_mutex_);
      relays_.clear();
    });
  };
  hooks.addresses = [this] {
    const base::MutexLock lock(relays_mutex_);
    return relays_;
  };
  return hooks;
}

std::vector<Helper> Membership::helpers() {
  std::vector<Helper> result;
  io_->run_and_wait([&] {
    for (const dht::Contact& contact : swarm_->dht().contacts(kHelpersLookedAt))
      result.push_back({contact.peer, contact.endpoint, false});
  });
  const base::MutexLock lock(others_mutex_);
  result.insert(result.end(), others_.begin(), others_.end());
  return result;
}

// Whom the directory knows can be reached by UDP; whether they can by TCP is found out by trying.
std::vector<RelayCandidate> Membership::relay_candidates() {
  std::vector<RelayCandidate> result;
  for (const proto::Endpoint& address : options_.join) result.push_back({address, std::nullopt});
  for (const dht::Contact& contact : swarm_->dht().contacts(kHelpersLookedAt))
    result.push_back({contact.endpoint, contact.peer});
  const base::MutexLock lock(others_mutex_);
  for (const Helper& other : others_) result.push_back({other.at, other.peer});
  return result;
}

void Membership::await_reach(std::chrono::milliseconds limit) {
  if (reach_ != nullptr) reach_->await_first(Clock::now() + limit, *stop_);
}

std::vector<proto::Address> Membership::announced() const {
  const std::vector<proto::Endpoint> own = addresses();
  if (reach_ != nullptr) return reach_->announced(own);
  return {own.begin(), own.end()};
}

std::optional<ReachReport> Membership::reach() const {
  if (reach_ == nullptr) return std::nullopt;
  return reach_->report();
}

void Membership::rejoin_when_alone() {
  const auto now = Clock::now();
  if (!joiner_ || options_.join_names.empty() || now < look_for_others_at_) return;
  look_for_others_at_ = now + kLookForOthers;
  const auto stats = directory();
  if (stats && stats->contacts == 0) joiner_->rejoin(*swarm_);
}

void Membership::learn_others(std::span<const dht::Record> served) {
  std::vector<proto::Endpoint> known_by = options_.join;
  for (const proto::Address& address : announced()) known_by.push_back(address.endpoint);
  {
    const base::MutexLock lock(others_mutex_);
    others_.clear();
    for (const dht::Record& record : served) {
      if (record.peer_id() == identity_.peer_id()) continue;
      for (const proto::Endpoint& address : proto::direct_endpoints(record.addresses)) {
        if (!may_ask_at(address, known_by, options_.swarm_key.has_value())) continue;
        if (others_.size() < kHelpersLookedAt)
          others_.push_back({record.peer_id(), address, false});
      }
    }
  }
  io_->run_and_wait([&] {
    addresses_->learn_others(served);
    addresses_->look();
  });
}

void Membership::start_announcing(Announcer::Sample sample, std::uint64_t last_sequence) {
  io_->run_and_wait([&] {
    announcer_ = std::make_unique<Announcer>(io_->context(), swarm_->dht(), identity_,
                                             std::move(sample), last_sequence);
  });
}

absl::Status Membership::announce() {
  absl::Status told = swarm_->await(
      kPublishTimeoutMs, [this](auto done) { announcer_->announce([done](int) { done(); }); },
      *stop_);
  if (absl::IsCancelled(told)) return told;
  // A swarm that is slow to store does not keep the node from serving.
  if (!told.ok() && has_others())
    spdlog::warn("the swarm has not confirmed our record yet; announcing goes on");
  return absl::OkStatus();
}

void Membership::announce_without_waiting() {
  io_->post([this] { announcer_->announce([](int) {}); });
}

std::uint64_t Membership::announced_sequence() {
  std::uint64_t sequence = 0;
  io_->run_and_wait([&] { sequence = announcer_->sequence(); });
  return sequence;
}

void Membership::announce_over(std::uint64_t above) {
  io_->post([this, above] { announcer_->announce_over(above, [](int) {}); });
}

void Membership::withdraw() {
  if (announcer_ == nullptr) return;
  absl::Status told = swarm_->await(
      kWithdrawTimeoutMs, [this](auto done) { announcer_->withdraw([done](int) { done(); }); },
      *stop_);
  if (!told.ok() && has_others())
    spdlog::info("the swarm has not confirmed that we left; our record expires by itself");
}

bool Membership::has_others() const {
  const auto stats = directory();
  return !stats || stats->verified_contacts > 0;
}

void Membership::stop_announcing() {
  if (announcer_ != nullptr) io_->run_and_wait([this] { announcer_.reset(); });
}

absl::StatusOr<std::vector<dht::Record>> Membership::find(const dht::Key& key) {
  return swarm_->find(key, kFindTimeoutMs, *stop_);
}

void Membership::give_up_port(milliseconds grace) {
  if (server_.front != nullptr) server_.front->stop_accepting();
  if (relay_ != nullptr) relay_->let_go();
  if (server_.server != nullptr) {
    // It tells every connection to take no new calls, then waits.
    closing_ = std::thread([server = server_.server.get(), grace] {
      server->Shutdown(std::chrono::system_clock::now() + grace);
    });
  }
  last_addresses_ = addresses();
  gave_up_port_ = true;
  leave();
}

void Membership::stop_server(milliseconds grace) {
  if (reach_service_ != nullptr) reach_service_->stop();
  if (closing_.joinable()) {
    server_.front->stop();  // ends what is still waited for
    closing_.join();
  }
  server_.shut_down(grace);
}

void Membership::leave() {
  stop_announcing();
  if (punch_desk_ != nullptr) punch_desk_->close();
  if (reach_ != nullptr) {
    io_->run_and_wait([this] { reach_on_net_ = nullptr; });
    reach_.reset();
    io_->run_and_wait([this] { rung_.reset(); });
  }
  if (addresses_ != nullptr) io_->run_and_wait([this] { addresses_.reset(); });
  swarm_.reset();
}

std::optional<dht::DhtStats> Membership::directory() const {
  if (swarm_ == nullptr) return std::nullopt;
  return swarm_->stats(kSnapshotTimeoutMs, never_);
}

std::optional<net::FrontStats> Membership::front() const {
  if (server_.front == nullptr) return std::nullopt;
  return server_.front->stats();
}

std::optional<net::RelayStats> Membership::relay() const {
  if (relay_ == nullptr) return std::nullopt;
  return relay_->stats();
}

}  // namespace shoal::node
