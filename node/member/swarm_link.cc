// SPDX-License-Identifier: Apache-2.0
#include "node/member/swarm_link.h"

#include <chrono>
#include <future>
#include <thread>

namespace shoal::node {
namespace {

constexpr std::uint32_t kFindTimeoutMs = 5'000;
constexpr std::uint32_t kGraceMs = 1'000;  // over the DHT's own time-out
constexpr auto kPoll = std::chrono::milliseconds(20);

}  // namespace

SwarmLink::SwarmLink(net::IoThread& io, std::unique_ptr<dht::UdpService> dht,
                     const std::atomic<bool>* cancelled)
    : io_(io),
      dht_(std::move(dht)),
      cancelled_(cancelled),
      endpoint_(dht_->local_endpoint()),
      swarm_id_(dht_->swarm_id()) {}

SwarmLink::~SwarmLink() {
  io_.run_and_wait([this] { dht_.reset(); });
}

absl::Status SwarmLink::await(std::uint32_t timeout_ms,
                              std::function<void(std::function<void()> done)> work) const {
  // Shared: an answer after the deadline finds a promise that nobody waits for.
  auto promise = std::make_shared<std::promise<void>>();
  std::future<void> answered = promise->get_future();
  io_.post([work = std::move(work), promise] { work([promise] { promise->set_value(); }); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (answered.wait_for(kPoll) != std::future_status::ready) {
    if (cancelled_ != nullptr && *cancelled_) return absl::CancelledError("stopped while starting");
    if (std::chrono::steady_clock::now() >= deadline)
      return absl::DeadlineExceededError("the swarm does not answer");
  }
  return absl::OkStatus();
}

absl::Status SwarmLink::pause(std::uint32_t timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (std::chrono::steady_clock::now() < deadline) {
    if (cancelled_ != nullptr && *cancelled_) return absl::CancelledError("stopped while starting");
    std::this_thread::sleep_for(kPoll);
  }
  return absl::OkStatus();
}

absl::Status SwarmLink::bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms) {
  auto result = std::make_shared<absl::Status>();
  const absl::Status waited =
      await(timeout_ms + kGraceMs, [this, peers = std::move(peers), timeout_ms, result](auto done) {
        dht_->bootstrap(peers, timeout_ms, [result, done](absl::Status status) {
          *result = std::move(status);
          done();
        });
      });
  return waited.ok() ? *result : waited;
}

void SwarmLink::begin_bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms) {
  io_.post([this, peers = std::move(peers), timeout_ms] {
    if (dht_ != nullptr) dht_->bootstrap(peers, timeout_ms, [](const absl::Status&) {});
  });
}

absl::StatusOr<std::vector<dht::Record>> SwarmLink::find(const dht::Key& key) {
  auto result = std::make_shared<std::vector<dht::Record>>();
  const absl::Status waited = await(kFindTimeoutMs, [this, key, result](auto done) {
    dht_->find(key, [result, done](std::vector<dht::Record> records) {
      *result = std::move(records);
      done();
    });
  });
  if (!waited.ok()) return waited;
  return std::move(*result);
}

}  // namespace shoal::node
