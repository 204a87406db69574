// SPDX-License-Identifier: Apache-2.0
// A relay's process is killed while it carries a session (real programs, routers in namespaces):
// the text goes on through the node's other relay, the ids are the golden ones, and nobody waits
// longer than two seconds.
#include "tests/nat/lost_relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace shoal::tests {
namespace {

using std::chrono::milliseconds;

// Decoded in some seconds; the relay goes after a fifth of them.
constexpr int kTokens = 150;
constexpr double kLongestPauseMs = 2'000;
constexpr milliseconds kOnline{20'000};

TEST(LostRelayTest, ASessionGoesOnWhenItsRelayIsKilled) {
  if (const std::string why = Network::unavailable(); !why.empty()) GTEST_SKIP() << why;
  NatSwarm swarm({.one_way = milliseconds(1)}, 3);
  // Nothing can be punched between two routers that give each connection another port.
  const Host& host = swarm.internet().host(NatKind::kSymmetric);
  const Host& user = swarm.internet().host(NatKind::kSymmetric);
  NatNode& node = swarm.start(host, "0:8");
  ASSERT_TRUE(NatSwarm::online(node, kOnline)) << node.process->err();
  const auto addresses = swarm.announced(user, NatSwarm::peer_id(node));
  EXPECT_EQ(
      std::ranges::count_if(addresses, [](const auto& one) { return one.starts_with("via "); }), 2)
      << "it has two relays";
  const LostRelay run = lose_relay(swarm, user, host, kTokens);
  ASSERT_EQ(run.answer.wrong, "") << node.process->err();
  EXPECT_GE(run.reroutes, 1);
  EXPECT_LE(run.longest_ms, kLongestPauseMs);
  std::printf("median step %.1f ms, longest pause %.0f ms, %d reroutes\n", run.median_ms,
              run.longest_ms, run.reroutes);
}

}  // namespace
}  // namespace shoal::tests
