// SPDX-License-Identifier: Apache-2.0
#include "dht/size_estimate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "identity/random.h"

namespace shoal::dht {
namespace {

const TimePoint kStart{seconds(1000)};

// The ids of a swarm, and what lookups in it find.
struct Ids {
  Ids(std::size_t count, std::uint64_t seed) : random(seed) {
    for (std::size_t i = 0; i < count; ++i) all.push_back(Key{random.bytes<32>()});
  }
  std::vector<Key> closest(const Key& target, std::size_t count) {
    count = std::min(count, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                      [&](const Key& a, const Key& b) { return closer(target, a, b); });
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)};
  }
  void look_up(SizeEstimate& estimate, int lookups, std::size_t count, TimePoint now = kStart) {
    for (int i = 0; i < lookups; ++i) {
      const Key target{random.bytes<32>()};
      estimate.add(target, closest(target, count), now);
    }
  }
  identity::Random random;
  std::vector<Key> all;
};

TEST(SizeEstimateTest, IsRightForSmallAndLargeSwarms) {
  for (const std::size_t n : {50u, 1000u, 10'000u}) {
    for (const std::size_t answered : {3u, 20u}) {
      Ids ids(n, n);
      SizeEstimate estimate{SizeEstimateConfig{}};
      ids.look_up(estimate, 150, answered);
      EXPECT_NEAR(*estimate.peers(kStart), static_cast<double>(n), 0.15 * static_cast<double>(n))
          << answered;
    }
  }
}

TEST(SizeEstimateTest, SaysNothingBeforeFiveSamplesAndAfterTwoHours) {
  Ids ids(1000, 1);
  SizeEstimate estimate{SizeEstimateConfig{}};
  ids.look_up(estimate, 4, 20);
  EXPECT_EQ(estimate.peers(kStart), std::nullopt);
  ids.look_up(estimate, 1, 2);  // two answers say nothing
  EXPECT_EQ(estimate.peers(kStart), std::nullopt);
  ids.look_up(estimate, 1, 20);
  EXPECT_NE(estimate.peers(kStart), std::nullopt);
  EXPECT_NE(estimate.peers(kStart + minutes(119)), std::nullopt);
  EXPECT_EQ(estimate.peers(kStart + minutes(121)), std::nullopt);
}

TEST(SizeEstimateTest, ForgetsTheOldestSampleFirst) {
  Ids small(100, 1), large(5000, 2);
  SizeEstimate estimate{SizeEstimateConfig{}};
  small.look_up(estimate, 150, 20);
  large.look_up(estimate, 150, 20);
  EXPECT_EQ(estimate.samples(), SizeEstimateConfig{}.max_samples);
  EXPECT_NEAR(*estimate.peers(kStart), 5000, 750);
}

TEST(SizeEstimateTest, AKeyCrowdedWithIdsOfOneOwnerDoesNotMoveIt) {
  Ids ids(1000, 3);
  SizeEstimate estimate{SizeEstimateConfig{}};
  ids.look_up(estimate, 20, 20);
  Key crowded{ids.random.bytes<32>()};
  std::vector<Key> sybils;
  for (std::uint8_t i = 0; i < 20; ++i) {
    sybils.push_back(crowded);
    sybils.back().bytes[5] ^= static_cast<std::uint8_t>(i + 1);
  }
  for (int i = 0; i < 200; ++i) estimate.add(crowded, sybils, kStart);
  EXPECT_EQ(estimate.samples(), 21u);  // one per target
  EXPECT_NEAR(*estimate.peers(kStart), 1000, 200);
}

TEST(SizeEstimateTest, RadiusHoldsTheExpectedNumberOfPeers) {
  Ids ids(2000, 4);
  const Key region = radius(2000, 20);
  std::size_t inside = 0;
  constexpr int kTargets = 200;
  for (int i = 0; i < kTargets; ++i) {
    const Key target{ids.random.bytes<32>()};
    inside +=
        static_cast<std::size_t>(std::count_if(ids.all.begin(), ids.all.end(), [&](const Key& id) {
          return distance(target, id) < region;
        }));
  }
  EXPECT_NEAR(static_cast<double>(inside) / kTargets, 20, 1.5);
}

TEST(SizeEstimateTest, RadiusOfASmallSwarmIsEverything) {
  Key everything;
  everything.bytes.fill(0xff);
  EXPECT_EQ(radius(20, 20), everything);
  EXPECT_EQ(radius(3, 20), everything);
  EXPECT_EQ(radius(0, 20), everything);
  Key half;
  half.bytes[0] = 0x80;
  EXPECT_EQ(radius(40, 20), half);
}

std::vector<Key> distances(const Key& target, const std::vector<Key>& ids) {
  std::vector<Key> result;
  for (const Key& id : ids) result.push_back(distance(target, id));
  return result;
}

TEST(CrowdTest, ChanceSeldomCrowdsAKey) {
  Ids ids(2000, 5);
  int crowded = 0;
  for (int i = 0; i < 2000; ++i) {
    const Key target{ids.random.bytes<32>()};
    crowded += is_crowded(distances(target, ids.closest(target, 20)), 2000, 0.001);
  }
  EXPECT_LE(crowded, 40);
  EXPECT_GE(crowded, 1) << "the test is one of chance";
}

TEST(CrowdTest, IdsMadeForAKeyAreNoticed) {
  Ids ids(2000, 6);
  for (const std::size_t made : {4u, 8u, 20u}) {
    int crowded = 0;
    for (int i = 0; i < 100; ++i) {
      const Key target{ids.random.bytes<32>()};
      std::vector<Key> seen = distances(target, ids.closest(target, 20 - made));
      for (std::size_t n = 0; n < made; ++n) {
        Key d{ids.random.bytes<32>()};
        d.bytes[0] = 0;  // one honest peer in 2,000 stands as close as a tenth of them
        d.bytes[1] &= 0x07;
        seen.push_back(d);
      }
      std::sort(seen.begin(), seen.end());
      crowded += is_crowded(seen, 2000, 0.001);
    }
    EXPECT_EQ(crowded, 100) << made;
  }
}

TEST(CrowdTest, FewSayNothing) {
  EXPECT_FALSE(is_crowded({}, 1000, 0.001));
  const std::vector<Key> two(2);
  EXPECT_FALSE(is_crowded(two, 1000, 0.001));
}

}  // namespace
}  // namespace shoal::dht
