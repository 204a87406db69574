// SPDX-License-Identifier: Apache-2.0
#include "net/directory.h"

#include <utility>

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Over the DHT's own time-out, which says more than ours.
constexpr milliseconds kGrace{1'000};

template <typename T>
absl::StatusOr<T> taken(std::optional<T> value, const base::StopToken& stop) {
  if (value) return *std::move(value);
  if (stop.stopped()) return stop.status();
  return absl::DeadlineExceededError("the swarm does not answer");
}

}  // namespace

Directory::Directory(IoThread& io, std::unique_ptr<dht::UdpService> dht)
    : io_(io),
      dht_(std::move(dht)),
      endpoint_(dht_->local_endpoint()),
      swarm_id_(dht_->swarm_id()) {}

Directory::~Directory() {
  io_.run_and_wait([this] { dht_.reset(); });
}

absl::Status Directory::bootstrap(const std::vector<proto::Endpoint>& peers,
                                  std::uint32_t timeout_ms, const base::StopToken& stop) {
  base::Awaited<absl::Status> joined;
  io_.post([this, peers, timeout_ms, done = joined.setter()] {
    dht_->bootstrap(peers, timeout_ms, done);
  });
  auto status = taken(joined.wait(Clock::now() + milliseconds(timeout_ms) + kGrace, stop), stop);
  return status.ok() ? *status : status.status();
}

void Directory::begin_bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms) {
  io_.post([this, peers = std::move(peers), timeout_ms] {
    if (dht_ != nullptr) dht_->bootstrap(peers, timeout_ms, [](const absl::Status&) {});
  });
}

bool Directory::holds_table() {
  bool holds = false;
  io_.run_and_wait([&] { holds = dht_->holds_table(); });
  return holds;
}

std::size_t Directory::recall() {
  std::size_t peers = 0;
  io_.run_and_wait([&] { peers = dht_->recall(); });
  return peers;
}

bool Directory::is_answered_at_joined() {
  bool answered = false;
  io_.run_and_wait([&] { answered = dht_->is_answered_at_joined(); });
  return answered;
}

Directory::Lookup Directory::begin_look_up(const dht::Key& key) {
  Lookup lookup{{}, Clock::now()};
  io_.post([this, key, done = lookup.answer.setter()] {
    dht_->look_up(key, [done](dht::UdpService::Found found) {
      done({std::move(found), Clock::now()});
    });
  });
  return lookup;
}

absl::StatusOr<Directory::Answer> Directory::await(Lookup lookup, std::uint32_t timeout_ms,
                                                   const base::StopToken& stop) {
  return taken(lookup.answer.wait(lookup.begun + milliseconds(timeout_ms), stop), stop);
}

absl::StatusOr<std::vector<dht::Record>> Directory::find(const dht::Key& key,
                                                         std::uint32_t timeout_ms,
                                                         const base::StopToken& stop) {
  auto answer = await(begin_look_up(key), timeout_ms, stop);
  if (!answer.ok()) return answer.status();
  return std::move(answer->found.records);
}

std::optional<dht::DhtStats> Directory::stats(std::uint32_t timeout_ms,
                                              const base::StopToken& stop) {
  base::Awaited<dht::DhtStats> told;
  io_.post([this, done = told.setter()] { done(dht_->stats()); });
  return told.wait(Clock::now() + milliseconds(timeout_ms), stop);
}

absl::Status Directory::await(std::uint32_t timeout_ms,
                              std::function<void(std::function<void()> done)> work,
                              const base::StopToken& stop) {
  base::Awaited<bool> finished;
  io_.post([work = std::move(work), done = finished.setter()] { work([done] { done(true); }); });
  return taken(finished.wait(Clock::now() + milliseconds(timeout_ms), stop), stop).status();
}

}  // namespace shoal::net
