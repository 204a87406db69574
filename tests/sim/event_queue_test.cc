// SPDX-License-Identifier: Apache-2.0
// The parts of the simulated world: what comes next, how time passes for a peer, who lives where,
// what becomes of datagrams.
#include "tests/sim/event_queue.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/fast_random.h"
#include "tests/sim/local_clock.h"

namespace shoal::sim {
namespace {

using dht::Duration;
using dht::milliseconds;
using dht::seconds;
using dht::TimePoint;

TEST(EventQueue, GivesTheEarliestFirstAndEqualTimesInTheOrderOfTheirComing) {
  FastRandom random(7);
  EventQueue<int> queue;
  std::vector<std::pair<TimePoint, int>> expected;
  for (int i = 0; i < 5000; ++i) {
    const TimePoint when{Duration(random.below(300))};
    queue.push(when, i);
    expected.emplace_back(when, i);
    if (random.chance(0.3)) {
      const auto least = std::min_element(expected.begin(), expected.end());
      ASSERT_EQ(queue.top().value, least->second);
      queue.pop();
      expected.erase(least);
    }
  }
  std::sort(expected.begin(), expected.end());
  for (const auto& [when, value] : expected) {
    ASSERT_FALSE(queue.empty());
    ASSERT_EQ(queue.top().when, when);
    ASSERT_EQ(queue.top().value, value);
    queue.pop();
  }
  EXPECT_TRUE(queue.empty());
}

TEST(LocalClock, RunsAtItsRateAndComesBackToWorldTime) {
  const TimePoint start{seconds(100)};
  for (const double rate : {1.0, 0.9, 1.0001, 1.3}) {
    LocalClock clock(start, TimePoint{seconds(7)}, rate);
    EXPECT_EQ(clock.local(start), TimePoint{seconds(7)});
    const TimePoint later = start + seconds(50);
    EXPECT_NEAR(static_cast<double>((clock.local(later) - clock.local(start)).count()), 50e9 * rate,
                2);
    for (int i = 0; i < 100; ++i) {
      const TimePoint deadline{seconds(7) + milliseconds(37 * i)};
      EXPECT_GE(clock.local(clock.world(deadline)), deadline) << "a timer must not fire early";
      EXPECT_LT(clock.local(clock.world(deadline) - Duration(4)), deadline);
    }
  }
}

TEST(LocalClock, JumpsForward) {
  LocalClock clock;
  clock.jump(TimePoint{seconds(5)}, seconds(3600));
  EXPECT_EQ(clock.local(TimePoint{seconds(6)}), TimePoint{seconds(3606)});
}

TEST(FastRandom, IsUniformAndRepeatable) {
  FastRandom a(1), b(1), c(2);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
  std::vector<int> counts(10);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    ++counts[a.below(10)];
    sum += a.exponential(3);
  }
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  EXPECT_NEAR(sum / 100'000, 3, 0.1);
}

}  // namespace
}  // namespace shoal::sim
