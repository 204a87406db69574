// SPDX-License-Identifier: Apache-2.0
#include "client/swarm_connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>

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
      auto endpoints = net::resolve(peer);
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
    Awaited<std::vector<dht::Record>> found;
    io_.post([this, key, done = found.setter()] { dht_->find(key, done); });
    auto records = found.wait(std::chrono::steady_clock::now() + kFindTimeout, interrupt);
    if (interrupt.triggered()) return interrupt.status();
    if (!records) {
      return absl::DeadlineExceededError(
          "the swarm took too long to say who serves the model: try again");
    }
    return *std::move(records);
  }

  dht::SwarmId swarm_id() const { return dht_->swarm_id(); }
  net::ChannelPool& channels() { return channels_; }
  net::IoThread& io() { return io_; }

 private:
  JoinOptions options_;
  net::ChannelPool channels_;
  net::IoThread io_;
  std::unique_ptr<dht::UdpService> dht_;  // used and destroyed on the net thread
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

net::ChannelPool& SwarmConnection::channels() { return impl_->channels(); }
net::IoThread& SwarmConnection::io() { return impl_->io(); }

}  // namespace shoal::client
