// SPDX-License-Identifier: Apache-2.0
#include "client/swarm_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <mutex>

#include "client/wait.h"
#include "dht/udp_service.h"
#include "net/channel_pool.h"
#include "net/io_thread.h"
#include "net/resolve.h"

namespace shoal::client {
namespace {

constexpr std::uint32_t kBootstrapTimeoutMs = 5'000;
constexpr std::chrono::seconds kFindTimeout{8};

}  // namespace

class SwarmConnection::Impl {
 public:
  explicit Impl(JoinOptions options)
      : options_(std::move(options)), channels_(options_.identity, options_.swarm_key) {}

  ~Impl() {
    io_.run_and_wait([this] { dht_.reset(); });
  }

  absl::Status join(const Interrupt& interrupt) {
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

    dht::UdpServiceOptions service;
    service.client_mode = true;
    service.swarm_key = options_.swarm_key;
    service.listen = proto::Endpoint::v4({0, 0, 0, 0}, 0);
    if (!peers.front().is_v4()) service.listen = proto::Endpoint{};  // [::]
    auto opened = dht::UdpService::open(io_.context(), options_.identity, service);
    if (!opened.ok()) return opened.status();
    dht_ = *std::move(opened);

    Awaited<absl::Status> joined;
    io_.post([this, peers, done = joined.setter()] {
      dht_->bootstrap(peers, kBootstrapTimeoutMs, done);
    });
    const auto status = joined.wait(
        std::chrono::steady_clock::now() + std::chrono::milliseconds(kBootstrapTimeoutMs + 2'000),
        interrupt);
    if (interrupt.triggered()) return interrupt.status();
    if (!status) {
      return absl::UnavailableError(
          fmt::format("no answer from {}: check the address and that a node "
                      "is running there",
                      fmt::join(options_.peers, ", ")));
    }
    return *status;
  }

  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key, const Interrupt& interrupt) {
    return await(begin(key), interrupt);
  }

  absl::StatusOr<std::size_t> find_any(const std::vector<dht::Key>& keys,
                                       const Interrupt& interrupt) {
    std::vector<Finding> findings;
    findings.reserve(keys.size());
    for (const dht::Key& key : keys) findings.push_back(begin(key));
    std::size_t found = 0;
    for (Finding& finding : findings) {
      const auto records = await(std::move(finding), interrupt);
      if (interrupt.triggered()) return records.status();
      found += records.ok() && !records->empty() ? 1 : 0;
    }
    return found;
  }

  DhtHealth health(const Interrupt& interrupt) {
    Awaited<dht::DhtStats> told;
    io_.post([this, done = told.setter()] { done(dht_->stats()); });
    const auto stats = told.wait(Clock::now() + kFindTimeout, interrupt);
    const std::lock_guard lock(mutex_);
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

  dht::SwarmId swarm_id() const { return dht_->swarm_id(); }
  net::ChannelPool& channels() { return channels_; }
  net::IoThread& io() { return io_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Answer {
    std::vector<dht::Record> records;
    Clock::time_point at;
  };
  struct Finding {
    Awaited<Answer> answer;
    Clock::time_point begun;
  };

  Finding begin(const dht::Key& key) {
    Finding finding{{}, Clock::now()};
    io_.post([this, key, done = finding.answer.setter()] {
      dht_->find(key, [done](std::vector<dht::Record> records) {
        done({std::move(records), Clock::now()});
      });
    });
    return finding;
  }

  absl::StatusOr<std::vector<dht::Record>> await(Finding finding, const Interrupt& interrupt) {
    auto answer = finding.answer.wait(finding.begun + kFindTimeout, interrupt);
    if (interrupt.triggered()) return interrupt.status();
    const auto end = answer ? answer->at : Clock::now();
    {
      const std::lock_guard lock(mutex_);
      health_.lookup_ms.push_back(
          std::chrono::duration<double, std::milli>(end - finding.begun).count());
      if (answer && !answer->records.empty()) ++health_.lookups_found;
    }
    if (!answer) {
      return absl::DeadlineExceededError(
          "the swarm took too long to say who serves the model: try again");
    }
    return std::move(answer->records);
  }

  JoinOptions options_;
  net::ChannelPool channels_;
  net::IoThread io_;
  std::unique_ptr<dht::UdpService> dht_;  // used and destroyed on the net thread
  std::mutex mutex_;
  DhtHealth health_;  // the lookups of it, guarded by mutex_
};

SwarmConnection::SwarmConnection() = default;
SwarmConnection::~SwarmConnection() = default;

absl::StatusOr<std::unique_ptr<SwarmConnection>> SwarmConnection::join(JoinOptions options,
                                                                       const Interrupt& interrupt) {
  std::unique_ptr<SwarmConnection> connection(new SwarmConnection());
  connection->impl_ = std::make_unique<Impl>(std::move(options));
  if (auto status = connection->impl_->join(interrupt); !status.ok()) return status;
  connection->swarm_id_ = connection->impl_->swarm_id();
  return connection;
}

absl::StatusOr<std::vector<dht::Record>> SwarmConnection::find(const dht::Key& key,
                                                               const Interrupt& interrupt) {
  return impl_->find(key, interrupt);
}

absl::StatusOr<std::size_t> SwarmConnection::find_any(const std::vector<dht::Key>& keys,
                                                      const Interrupt& interrupt) {
  return impl_->find_any(keys, interrupt);
}

DhtHealth SwarmConnection::health(const Interrupt& interrupt) { return impl_->health(interrupt); }

net::ChannelPool& SwarmConnection::channels() { return impl_->channels(); }
net::IoThread& SwarmConnection::io() { return impl_->io(); }

}  // namespace shoal::client
