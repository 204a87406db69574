// SPDX-License-Identifier: Apache-2.0
// Keeps our record in the DHT true: signs and publishes it on every change of state, every
// kRecordRefreshMs (+-20 %), and when the load has changed much. Thread rule: all methods on the
// io_context's thread; destroy it there too.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "dht/udp_service.h"
#include "identity/random.h"

namespace shoal::node {

// What a node would say of itself now. Sequence and key are filled in when it is signed.
struct Announced {
  dht::Record record;
  bool idle = false;  // no session
};

// Is `now` so different from what the swarm knows that it should be told before the next refresh?
// An idle node always is, when it was announced with less free KV: nothing else would tell. Pure.
bool load_changed(const proto::Load& known, const proto::Load& now, bool idle);

class Announcer {
 public:
  using Sample = std::function<Announced()>;  // called on the net thread

  // `last_sequence`: of our record that the swarm still knows from an earlier run, or 0.
  Announcer(boost::asio::io_context& io, dht::UdpService& dht, const identity::Identity& identity,
            Sample sample, std::uint64_t last_sequence);

  // Publishes now, and from then on by itself. `done` gets the number of peers that hold the
  // record.
  void announce(std::function<void(int)> done);
  // The same with a sequence above `above`: another run has announced itself in our place.
  void announce_over(std::uint64_t above, std::function<void(int)> done);
  // Of what was announced last.
  std::uint64_t sequence() const { return sequence_; }
  // The record is another now. Nothing before announce() or after withdraw().
  void announce_change();
  // Publishes the record as it is now for the last time.
  void withdraw(std::function<void(int)> done);

 private:
  using Clock = std::chrono::steady_clock;

  void publish(std::function<void(int)> done);
  void wait();

  dht::UdpService& dht_;
  const identity::Identity& identity_;
  const Sample sample_;
  std::uint64_t sequence_;
  dht::Record announced_;
  Clock::time_point refresh_at_;
  identity::Random random_;
  bool running_ = false;
  boost::asio::steady_timer timer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace shoal::node
