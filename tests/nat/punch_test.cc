// SPDX-License-Identifier: Apache-2.0
// Peers behind routers that let nobody in, who find each other through relays and go on without:
// real programs, and bytes counted at the hosts.
#include <gtest/gtest.h>

#include "tests/nat/matrix.h"

namespace shoal::tests {
namespace {

constexpr int kTokens = 24;
const LinkOptions kLine = {.one_way = std::chrono::milliseconds(5)};

class Punching : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Network::unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(Punching, AUserReachesANodeBehindARouterWithoutTheRelay) {
  MatrixRow row(NatRole::kUser, NatKind::kPortRestricted, kLine);
  ASSERT_TRUE(row.online()) << row.logs();
  for (const NatKind kind : {NatKind::kPortRestricted, NatKind::kDoubleNat, NatKind::kTcpOut}) {
    const NatCell cell = row.run(kind, kTokens);
    EXPECT_EQ(cell.wrong, "") << name(kind) << row.logs();
    EXPECT_EQ(letter(cell), 'D') << name(kind) << " " << cell.direct_share << row.logs();
  }
}

// The port that a symmetric router takes is unknown: its packet must be the one that arrives.
TEST_F(Punching, ASymmetricRouterIsPassedWhereTheOtherLetsItsAddressIn) {
  MatrixRow row(NatRole::kUser, NatKind::kSymmetric, kLine);
  ASSERT_TRUE(row.online()) << row.logs();
  const NatCell met = row.run(NatKind::kAddressRestricted, kTokens);
  EXPECT_EQ(met.wrong, "") << row.logs();
  EXPECT_EQ(letter(met), 'D') << met.direct_share << row.logs();
  const NatCell relayed = row.run(NatKind::kPortRestricted, kTokens);
  EXPECT_EQ(relayed.wrong, "") << "what cannot be punched stays relayed" << row.logs();
  EXPECT_EQ(letter(relayed), 'r');
}

TEST_F(Punching, ANodeReachesItsNextHopWithoutTheRelay) {
  MatrixRow row(NatRole::kNextHop, NatKind::kPortRestricted, kLine);
  ASSERT_TRUE(row.online()) << row.logs();
  // The latter's packet must be the first that arrives.
  for (const NatKind kind : {NatKind::kPortRestricted, NatKind::kTcpOut}) {
    const NatCell cell = row.run(kind, kTokens);
    EXPECT_EQ(cell.wrong, "") << name(kind) << row.logs();
    EXPECT_EQ(letter(cell), 'D') << name(kind) << " " << cell.direct_share << row.logs();
  }
}

// Both announce the router's address, which it does not serve from inside.
TEST_F(Punching, NeighboursBehindARouterThatMapsMeetByARelay) {
  MatrixRow row(NatRole::kNextHop, NatKind::kMapped, kLine);
  ASSERT_TRUE(row.online()) << row.logs();
  const NatCell cell = row.run_neighbour(kTokens);
  EXPECT_EQ(cell.wrong, "") << row.logs();
  EXPECT_EQ(letter(cell), 'D') << cell.direct_share << row.logs();
}

}  // namespace
}  // namespace shoal::tests
