// SPDX-License-Identifier: Apache-2.0
// A few cells of the matrix of routers, with the real programs: the golden ids whatever lies
// between, and no relay where theory needs none. The whole matrix is scripts/nat-matrix.
#include "tests/nat/matrix.h"

#include <gtest/gtest.h>

namespace shoal::tests {
namespace {

constexpr int kTokens = 96;  // golden ids, and time for a session to move to a direct connection
const LinkOptions kAccess = {.one_way = std::chrono::milliseconds(1)};

class Matrix : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Network::unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
};

class Routers : public Matrix, public testing::WithParamInterface<NatKind> {};

// Users behind a router like the node's, and behind the one that is hardest for it.
TEST_P(Routers, ServeUsersBehindTheirLike) {
  MatrixRow row(NatRole::kUser, GetParam(), kAccess);
  ASSERT_TRUE(row.online()) << row.logs();
  for (const NatKind other : {GetParam(), NatKind::kSymmetric}) {
    const NatCell cell = row.run(other, kTokens);
    EXPECT_EQ(cell.wrong, "") << name(other) << row.logs();
    if (direct_in_theory(GetParam(), other)) continue;
    EXPECT_EQ(letter(cell), 'r') << name(other) << ": what theory rules out was counted";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Routers,
                         testing::Values(NatKind::kAddressRestricted, NatKind::kUdpBlocked),
                         [](const auto& info) {
                           std::string result(name(info.param));
                           std::erase(result, '-');
                           return result;
                         });

TEST_F(Matrix, NeighboursBehindOneRouter) {
  for (const NatKind kind : {NatKind::kPortRestricted, NatKind::kHairpin}) {
    MatrixRow row(NatRole::kUser, kind, kAccess);
    ASSERT_TRUE(row.online()) << row.logs();
    EXPECT_EQ(row.run_neighbour(kTokens).wrong, "") << row.logs();
  }
}

TEST_F(Matrix, NextHopsBehindHardRouters) {
  MatrixRow row(NatRole::kNextHop, NatKind::kSymmetric, kAccess);
  ASSERT_TRUE(row.online()) << row.logs();
  for (const NatKind other : {NatKind::kSymmetric, NatKind::kTcpOut, NatKind::kFullCone}) {
    EXPECT_EQ(row.run(other, kTokens).wrong, "") << row.logs();
  }
}

}  // namespace
}  // namespace shoal::tests
