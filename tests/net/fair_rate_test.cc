// SPDX-License-Identifier: Apache-2.0
// Shares of a relay's rate.
#include "net/fair_rate.h"

#include <gtest/gtest.h>

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

constexpr double kBytesPerSecond = 10e6;
constexpr Rate kAmple{1e12, 1e9};

proto::PeerId payer(std::uint8_t number) {
  proto::PeerId peer;
  peer.bytes[0] = number;
  return peer;
}

// Megabytes per second that each of `peers` moves who always wants to, over two seconds.
std::vector<double> speeds(FairRate& rate, const std::vector<proto::PeerId>& peers,
                           FairRate::Time& now) {
  std::vector<double> moved(peers.size(), 0);
  for (int ms = 0; ms < 2'000; ++ms, now += milliseconds(1)) {
    for (std::size_t i = 0; i < peers.size(); ++i) {
      const std::uint64_t bytes = std::min<std::uint64_t>(rate.allowed(peers[i], now), 64 << 10);
      rate.charge(peers[i], bytes, now);
      moved[i] += static_cast<double>(bytes) / 2e6;
    }
  }
  return moved;
}

TEST(FairRate, WhoIsAloneHasAllOfIt) {
  FairRate rate(kBytesPerSecond, kAmple);
  FairRate::Time now{std::chrono::hours(1)};
  const double alone = speeds(rate, {payer(1)}, now)[0];
  EXPECT_GT(alone, 9.8);
  EXPECT_LT(alone, 10.3);
}

TEST(FairRate, SeveralHaveEqualParts) {
  FairRate rate(kBytesPerSecond, kAmple);
  FairRate::Time now{std::chrono::hours(1)};
  // The first one asks four times as often: as many connections.
  const auto moved = speeds(rate, {payer(1), payer(1), payer(1), payer(1), payer(2)}, now);
  const double flood = moved[0] + moved[1] + moved[2] + moved[3];
  EXPECT_NEAR(flood, 5, 0.4);
  EXPECT_NEAR(moved[4], 5, 0.4);
  EXPECT_GT(speeds(rate, {payer(2)}, now)[0], 9) << "when the other one is gone";
}

TEST(FairRate, WhoPausedHasAStepAtOnce) {
  FairRate rate(kBytesPerSecond, kAmple);
  FairRate::Time now{std::chrono::hours(1)};
  speeds(rate, {payer(1)}, now);
  EXPECT_GE(rate.allowed(payer(2), now), 128u << 10);
  const std::uint64_t left = rate.allowed(payer(1), now);
  rate.charge(payer(1), left, now);
  EXPECT_EQ(rate.allowed(payer(1), now), 0u);
  const auto later = rate.later(payer(1), now);
  EXPECT_GT(later, now);
  EXPECT_LE(later, now + milliseconds(3));
  EXPECT_GT(rate.allowed(payer(1), later), 0u);
}

TEST(FairRate, ABudgetOfHoursSlowsAndDoesNotEnd) {
  FairRate rate(kBytesPerSecond, {4e6, 1e6});
  FairRate::Time now{std::chrono::hours(1)};
  const double first = speeds(rate, {payer(1)}, now)[0];
  EXPECT_NEAR(first, (4 + 2 * 1) / 2.0, 0.2);
  EXPECT_NEAR(speeds(rate, {payer(1)}, now)[0], 1, 0.1);
  while (rate.allowed(payer(1), now) > 0) rate.charge(payer(1), 8'192, now);
  const auto later = rate.later(payer(1), now);
  EXPECT_LE(later, now + milliseconds(300)) << "no more than what may be moved at once is owed";
  EXPECT_GT(rate.allowed(payer(1), later), 0u);
  EXPECT_GT(speeds(rate, {payer(2)}, now)[0], 2.5) << "another one's budget is its own";
}

TEST(FairRate, RemembersABoundedNumber) {
  FairRate rate(kBytesPerSecond, kAmple);
  FairRate::Time now{std::chrono::hours(1)};
  for (int i = 0; i < 4'000; ++i, now += milliseconds(1)) {
    proto::PeerId peer;
    peer.bytes[1] = static_cast<std::uint8_t>(i);
    peer.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    rate.charge(peer, 1'000, now);
  }
  EXPECT_LE(rate.remembered(), 1'200u);
}

}  // namespace
}  // namespace shoal::net
