// SPDX-License-Identifier: Apache-2.0
#include "dht/drops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace shoal::dht {
namespace {

TEST(DropsTest, EveryReasonHasANameOfItsOwnThatFitsALabel) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Drop::kCount); ++i) {
    const std::string name(to_string(static_cast<Drop>(i)));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_FALSE(name.empty());
    EXPECT_TRUE(std::all_of(name.begin(), name.end(), [](char c) {
      return c == '_' || (c >= 'a' && c <= 'z');
    })) << name;
  }
}

TEST(DropsTest, CountsAreByReasonAndAddUp) {
  DropCounts packets, bodies;
  packets.add(Drop::kSeal);
  packets.add(Drop::kSeal);
  packets.add(Drop::kReplay);
  bodies.add(Drop::kBody);
  packets += bodies;
  EXPECT_EQ(packets[Drop::kSeal], 2u);
  EXPECT_EQ(packets[Drop::kReplay], 1u);
  EXPECT_EQ(packets[Drop::kBody], 1u);
  EXPECT_EQ(packets[Drop::kSize], 0u);
  EXPECT_EQ(packets.total(), 4u);
}

}  // namespace
}  // namespace shoal::dht
