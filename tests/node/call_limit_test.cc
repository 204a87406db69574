// SPDX-License-Identifier: Apache-2.0
// Nobody has more than his part of the answers that are under way, and all together have a bound.
#include "node/serve/call_limit.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

TEST(CallLimit, BoundsEachPeerAndAllOfThem) {
  proto::PeerId a, b, c;
  b.bytes[0] = 1;
  c.bytes[0] = 2;
  CallLimit limit(3, 2);
  EXPECT_TRUE(limit.begin(a));
  EXPECT_TRUE(limit.begin(a));
  EXPECT_FALSE(limit.begin(a));
  EXPECT_TRUE(limit.begin(b));
  EXPECT_FALSE(limit.begin(c));  // of all
  EXPECT_FALSE(limit.begin(b));
  limit.end(a);
  EXPECT_TRUE(limit.begin(c));
  EXPECT_FALSE(limit.begin(a));
  limit.end(a);
  limit.end(b);
  EXPECT_EQ(limit.peers(), 1u);
  limit.end(c);
  EXPECT_EQ(limit.peers(), 0u);
}

}  // namespace
}  // namespace shoal::node
