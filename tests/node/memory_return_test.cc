// SPDX-License-Identifier: Apache-2.0
// Memory is given back after a peak, not while it grows, and not for nothing.
#include <gtest/gtest.h>

#include "node/device/memory.h"

namespace shoal::node {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

TEST(TrimDecision, GivesBackAfterAPeak) {
  TrimDecision decision;
  TrimDecision::TimePoint now{std::chrono::hours(1)};
  const auto at = [&](std::int64_t mib) {
    now += std::chrono::seconds(1);
    return decision.due(mib * kMiB, now);
  };
  EXPECT_FALSE(at(100));
  EXPECT_FALSE(at(105)) << "a little is not worth it";
  EXPECT_FALSE(at(300)) << "it grows";
  EXPECT_FALSE(at(500));
  EXPECT_TRUE(at(500));
  decision.trimmed(130 * kMiB);
  EXPECT_FALSE(at(130));
  EXPECT_FALSE(at(400));
  EXPECT_FALSE(at(390)) << "not again within ten seconds";
  for (int i = 0; i < 10; ++i) {
    if (at(390)) return;
  }
  FAIL() << "the second peak stays";
}

TEST(Memory, KnowsWhatIsResident) { EXPECT_GT(resident_bytes(), kMiB); }

}  // namespace
}  // namespace shoal::node
