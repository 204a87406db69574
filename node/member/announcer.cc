// SPDX-License-Identifier: Apache-2.0
#include "node/member/announcer.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "proto/limits.h"

namespace shoal::node {
namespace {

// Load is looked at this often, which also bounds how often it is announced.
constexpr auto kLoadInterval = std::chrono::seconds(5);
constexpr double kJitter = 0.2;

std::uint64_t unix_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool differs_much(double known, double now, double floor) {
  return std::abs(known - now) > std::max(floor, 0.5 * std::max(known, now));
}

}  // namespace

bool load_changed(const proto::Load& known, const proto::Load& now, bool idle) {
  // Floors: differences that would not change anybody's route.
  return differs_much(known.free_kv_positions, now.free_kv_positions, 1'024) ||
         differs_much(known.queue_depth, now.queue_depth, 8) ||
         differs_much(known.block_step_us, now.block_step_us, 100) ||
         (idle && known.free_kv_positions != now.free_kv_positions);
}

Announcer::Announcer(boost::asio::io_context& io, dht::UdpService& dht,
                     const identity::Identity& identity, Sample sample, std::uint64_t last_sequence)
    : dht_(dht),
      identity_(identity),
      sample_(std::move(sample)),
      sequence_(last_sequence),
      random_(identity::Random::from_system()),
      timer_(io) {}

void Announcer::publish(std::function<void(int)> done) {
  announced_ = sample_().record;
  sequence_ = std::max(sequence_ + 1, unix_microseconds());
  announced_.sequence = sequence_;
  refresh_at_ =
      Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(
                         proto::kRecordRefreshMs * (1 + kJitter * (2 * random_.unit() - 1))));
  dht_.publish(dht::sign_record(identity_, announced_), dht::keys_of(dht_.swarm_id(), announced_),
               std::move(done));
}

void Announcer::announce(std::function<void(int)> done) {
  publish(std::move(done));
  if (!std::exchange(running_, true)) wait();
}

void Announcer::announce_over(std::uint64_t above, std::function<void(int)> done) {
  sequence_ = std::max(sequence_, above);
  announce(std::move(done));
}

void Announcer::announce_change() {
  if (running_) publish([](int) {});
}

void Announcer::withdraw(std::function<void(int)> done) {
  running_ = false;
  timer_.cancel();
  publish(std::move(done));
}

void Announcer::wait() {
  timer_.expires_after(kLoadInterval);
  // A handler that was queued when we were destroyed still runs, and without an error.
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired() || !running_) return;
    const Announced now = sample_();
    if (Clock::now() >= refresh_at_ || load_changed(announced_.load, now.record.load, now.idle))
      publish([](int) {});
    wait();
  });
}

}  // namespace shoal::node
