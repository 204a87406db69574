// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/swarm_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <utility>

#include "base/awaited.h"
#include "base/mutex.h"
#include "client/swarm/network_check.h"
#include "dht/udp_service.h"
#include "net/channel_pool.h"
#include "net/directory.h"
#include "net/directory_tunnels.h"
#include "net/io_thread.h"
#include "net/resolve.h"

namespace shoal::client {
namespace {

constexpr std::uint32_t kBootstrapTimeoutMs = 5'000;
constexpr std::uint32_t kFindTimeoutMs = 8'000;
// When nobody answers a lookup, the addresses that we joined by are asked whether anybody lives.
constexpr std::uint32_t kRejoinTimeoutMs = 1'500;
constexpr std::chrono::milliseconds kNetworkPoll{500};

}  // namespace

class SwarmConnection::Impl {
  using Clock = std::chrono::steady_clock;

 public:
  explicit Impl(JoinOptions options)
      : options_(std::move(options)), channels_(options_.identity, options_.swarm_key) {}

  absl::Status join(const base::StopToken& interrupt) {
    const auto until = Clock::now() + options_.wait;
    for (bool told = false;;) {
      network_down_ = false;
      absl::Status status = try_join(interrupt);
      if (status.ok() || !network_down_ || interrupt.stopped() || Clock::now() >= until) {
        return status;
      }
      if (!std::exchange(told, true) && options_.on_event) {
        options_.on_event(fmt::format("waits up to {:.0f} s (--wait): {}",
                                      std::chrono::duration<double>(options_.wait).count(),
                                      std::string(status.message())));
      }
      base::sleep_for(kNetworkPoll, interrupt);
    }
  }

  absl::Status try_join(const base::StopToken& interrupt) {
    std::vector<proto::Endpoint> peers;
    absl::Status unresolved;
    for (const std::string& peer : options_.peers) {
      auto endpoints = net::resolve(peer, proto::AddressUse::kDial);
      if (!endpoints.ok()) {
        unresolved = endpoints.status();
        continue;
      }
      peers.insert(peers.end(), endpoints->begin(), endpoints->end());
    }
    if (peers.empty()) return unresolved;
    if (!has_way_to_any(peers)) {
      network_down_ = true;
      return absl::UnavailableError(fmt::format("this machine has no way to {}: is its network up?",
                                                fmt::join(options_.peers, ", ")));
    }

    dht::UdpServiceOptions service;
    service.client_mode = true;
    service.swarm_key = options_.swarm_key;
    service.udp = options_.udp;
    service.tunnels = std::make_shared<net::DirectoryTunnels>(io_.context(), options_.identity,
                                                              options_.swarm_key);
    // [::]:0: peers of either family are of use, whichever we join by.
    auto opened = dht::UdpService::open(io_.context(), options_.identity, service);
    if (!opened.ok()) return opened.status();
    directory_.reset();  // of the try before
    directory_ = std::make_unique<net::Directory>(io_, *std::move(opened));
    join_peers_ = peers;

    absl::Status joined = directory_->bootstrap(peers, kBootstrapTimeoutMs, interrupt);
    if (!absl::IsDeadlineExceeded(joined)) return joined;
    return absl::UnavailableError(
        fmt::format("no answer from {}: check the address and that a node "
                    "is running there",
                    fmt::join(options_.peers, ", ")));
  }

  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key,
                                                const base::StopToken& interrupt) {
    for (bool rejoined = false;;) {
      bool answered = false;
      auto records = await(directory_->begin_look_up(key), interrupt, &answered);
      if (!records.ok() || answered || !records->empty()) return records;
      if (rejoined || !rejoin(interrupt)) break;
      rejoined = true;
    }
    if (interrupt.stopped()) return interrupt.status();
    if (!has_way_to_any(join_peers_)) {
      return absl::UnavailableError("this machine's network is down: it has no way to the swarm");
    }
    return absl::UnavailableError(
        "nobody in the swarm answers any more: is this machine's network up?");
  }

  absl::StatusOr<std::size_t> find_any(const std::vector<dht::Key>& keys,
                                       const base::StopToken& interrupt) {
    std::vector<net::Directory::Lookup> lookups;
    lookups.reserve(keys.size());
    for (const dht::Key& key : keys) lookups.push_back(directory_->begin_look_up(key));
    std::size_t found = 0;
    for (net::Directory::Lookup& lookup : lookups) {
      const auto records = await(std::move(lookup), interrupt, nullptr);
      if (interrupt.stopped()) return records.status();
      found += records.ok() && !records->empty() ? 1 : 0;
    }
    return found;
  }

  DhtHealth health(const base::StopToken& interrupt) {
    const auto stats = directory_->stats(kFindTimeoutMs, interrupt);
    const base::MutexLock lock(mutex_);
    DhtHealth health = health_;
    if (stats) {
      health.contacts = stats->contacts;
      health.verified_contacts = stats->verified_contacts;
      health.estimated_peers = stats->estimated_peers;
      health.requests_answered = stats->requests_answered;
      health.requests_failed = stats->requests_failed;
    }
    return health;
  }

  identity::SwarmId swarm_id() const { return directory_->swarm_id(); }
  const identity::Identity& identity() const { return options_.identity; }
  net::ChannelPool& channels() { return channels_; }
  net::IoThread& io() { return io_; }

 private:
  // Whether any of the addresses that we joined by answers.
  bool rejoin(const base::StopToken& interrupt) {
    return directory_->bootstrap(join_peers_, kRejoinTimeoutMs, interrupt).ok();
  }

  absl::StatusOr<std::vector<dht::Record>> await(net::Directory::Lookup lookup,
                                                 const base::StopToken& interrupt, bool* answered) {
    const auto begun = lookup.begun;
    auto answer = net::Directory::await(std::move(lookup), kFindTimeoutMs, interrupt);
    if (interrupt.stopped()) return interrupt.status();
    const auto end = answer.ok() ? answer->at : Clock::now();
    {
      const base::MutexLock lock(mutex_);
      health_.lookup_ms.push_back(std::chrono::duration<double, std::milli>(end - begun).count());
      if (answer.ok() && !answer->found.records.empty()) ++health_.lookups_found;
    }
    if (!answer.ok()) {
      return absl::DeadlineExceededError(
          "the swarm took too long to say who serves the model: try again");
    }
    if (answered != nullptr) *answered = answer->found.answered > 0;
    return std::move(answer->found.records);
  }

  JoinOptions options_;
  net::ChannelPool channels_;
  net::IoThread io_;
  std::vector<proto::Endpoint> join_peers_;  // set before anything else asks
  bool network_down_ = false;
  std::unique_ptr<net::Directory> directory_;
  base::Mutex mutex_;
  DhtHealth health_ ABSL_GUARDED_BY(mutex_);  // the lookups of it
};

SwarmConnection::SwarmConnection() = default;
SwarmConnection::~SwarmConnection() = default;

const identity::Identity& SwarmConnection::identity() const { return impl_->identity(); }

absl::StatusOr<std::unique_ptr<SwarmConnection>> SwarmConnection::join(
    JoinOptions options, const base::StopToken& interrupt) {
  std::unique_ptr<SwarmConnection> connection(new SwarmConnection());
  connection->impl_ = std::make_unique<Impl>(std::move(options));
  if (auto status = connection->impl_->join(interrupt); !status.ok()) return status;
  connection->swarm_id_ = connection->impl_->swarm_id();
  return connection;
}

absl::StatusOr<std::vector<dht::Record>> SwarmConnection::find(const dht::Key& key,
                                                               const base::StopToken& interrupt) {
  return impl_->find(key, interrupt);
}

absl::StatusOr<std::size_t> SwarmConnection::find_any(const std::vector<dht::Key>& keys,
                                                      const base::StopToken& interrupt) {
  return impl_->find_any(keys, interrupt);
}

DhtHealth SwarmConnection::health(const base::StopToken& interrupt) {
  return impl_->health(interrupt);
}

net::ChannelPool& SwarmConnection::channels() { return impl_->channels(); }
net::IoThread& SwarmConnection::io() { return impl_->io(); }

}  // namespace shoal::client
