// SPDX-License-Identifier: Apache-2.0
// One direction of an emulated link: packets leave one after another at the link's rate, arrive a
// delay later, and are lost when they are unlucky or the queue before the link is full. A value
// class without clock: times come in, in nanoseconds; the same seed loses the same packets.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

namespace shoal::tests {

struct LinkOptions {
  std::chrono::microseconds one_way{0};
  double mbit_per_s = 0;                  // 0: as fast as it goes
  double loss = 0;                        // share of packets
  std::size_t queue_bytes = 1024 * 1024;  // that wait to leave, when there is a rate

  bool plain() const { return one_way.count() == 0 && mbit_per_s == 0 && loss == 0; }
};

class LinkQueue {
 public:
  using Packet = std::vector<std::uint8_t>;
  using Nanoseconds = std::chrono::nanoseconds;

  LinkQueue(const LinkOptions& options, std::uint64_t seed) : options_(options), random_(seed) {}

  // False: lost.
  bool push(Packet packet, Nanoseconds now);
  // When the next packet arrives; absent when none is under way.
  std::optional<Nanoseconds> next() const;
  // The next packet, if it has arrived by now.
  std::optional<Packet> pop(Nanoseconds now);

 private:
  struct UnderWay {
    Nanoseconds arrives;
    Packet packet;
  };

  Nanoseconds duration(std::size_t bytes) const;

  const LinkOptions options_;
  std::mt19937_64 random_;
  Nanoseconds free_at_{0};  // when the last packet that was taken has left
  std::deque<UnderWay> under_way_;
};

}  // namespace shoal::tests
