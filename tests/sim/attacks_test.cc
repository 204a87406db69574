// SPDX-License-Identifier: Apache-2.0
// The scenarios of lookups, publishes and attacks at small scale, held to the goals of docs/dht.md
// with some room: that a change makes the swarm slower, dearer or easier to lie to shows here.
// Figures at full scale come from shoal-sim.
#include <gtest/gtest.h>

#include "tests/sim/model_primitives.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

constexpr std::size_t kPeers = 1500;

class AttacksTest : public testing::Test {
 protected:
  void SetUp() override { choose_crypto(quick_primitives()); }
  void TearDown() override { choose_crypto(Crypto::kSodium); }
};

LookupOptions lookups(double hostile, bool secure) {
  LookupOptions options;
  options.population.peers = kPeers;
  options.population.hostile = hostile;
  options.population.loss = 0.02;
  options.lookups = 400;
  options.records = 200;
  options.secure = secure;
  return options;
}

TEST_F(AttacksTest, LookupsAreQuickAndCheapThoughAThirdIsDead) {
  LookupOptions options = lookups(0, false);
  options.dead = 0.3;
  const Report report = run_lookup(options);
  EXPECT_GE(report.number("success"), 0.997) << report.table();
  EXPECT_LE(report.number("first_record_ms.p50"), 150) << report.table();
  EXPECT_LE(report.number("first_record_ms.p99"), 500) << report.table();
  EXPECT_LE(report.number("messages_mean"), 26) << report.table();
  EXPECT_LE(report.number("hops_p99"), 4) << report.table();
}

TEST_F(AttacksTest, PublishesReachEightReplicasSoon) {
  PublishOptions options;
  options.population.peers = kPeers;
  options.population.loss = 0.02;
  options.publishes = 200;
  const Report report = run_publish(options);
  EXPECT_GE(report.number("replicas.min"), 8) << report.table();
  EXPECT_LE(report.number("publish_ms.p50"), 350) << report.table();
  EXPECT_LE(report.number("publish_ms.p99"), 1200) << report.table();
}

TEST_F(AttacksTest, SecureLookupsAreRightAmongThirtyPercentThatCollude) {
  const Report report = run_lookup(lookups(0.3, true));
  EXPECT_GE(report.number("success"), 0.997) << report.table();
  EXPECT_LE(report.number("messages_mean"), 56) << report.table();
  EXPECT_GE(report.number("honest_holders.min"), 4) << report.table();
}

TEST_F(AttacksTest, SecureLookupsAreRightAmongTwentyPercentThatCollude) {
  const Report report = run_lookup(lookups(0.2, true));
  EXPECT_EQ(report.number("success"), 1) << report.table();
  EXPECT_LE(report.number("messages_mean"), 50) << report.table();
}

TEST_F(AttacksTest, IdsBesideAKeyHideNothing) {
  for (const std::size_t networks : {1u, 4u}) {
    SybilOptions options;
    options.population.peers = kPeers;
    options.keys = 3;
    options.lookups = 300;
    options.networks = networks;
    const Report report = run_sybil(options);
    EXPECT_LE(report.number("harmed"), 0.004) << report.table();
    EXPECT_GE(report.number("honest_holders.min"), 8) << report.table();
    EXPECT_EQ(report.number("success_of_other_keys"), 1) << report.table();
    EXPECT_LE(report.number("messages_mean_of_other_keys"), 30) << report.table();
  }
}

}  // namespace
}  // namespace shoal::sim
