// SPDX-License-Identifier: Apache-2.0
// Peers behind NATs in a swarm of reachable ones: they notice, leave the tables, and still find and
// publish. Another seed: SHOAL_SIM_SEED=N.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/dht/example_record.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {
namespace {

using dht::example_model;
using dht::example_record;
using dht::minutes;
using dht::seconds;

std::uint64_t seed() {
  const char* text = std::getenv("SHOAL_SIM_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

struct NatTest : testing::Test {
  static constexpr PeerIndex kPeers = 60;

  explicit NatTest(AddressKind addresses = AddressKind::kPublic)
      : swarm({seed(), {.loss = 0.02}, addresses}) {}

  // Every tenth peer is behind a NAT, when `filtered`.
  void grow(PeerIndex peers, bool filtered = true) {
    for (PeerIndex peer = 0; peer < peers; ++peer) {
      swarm.add();
      if (filtered && peer % 10 == 5) {
        swarm.network().set_filtered(peer, true);
        hidden.push_back(peer);
      }
      if (peer > 0) joins.emplace_back(peer, swarm.bootstrap(peer, {0}));
      swarm.run_for(dht::milliseconds(200));
    }
    for (const auto& [peer, id] : joins) {
      const auto done = swarm.wait(peer, id);
      ASSERT_TRUE(done && done->ok) << "peer " << peer << " did not join";
    }
  }
  std::size_t clients() {
    std::size_t count = 0;
    for (PeerIndex peer = 0; peer < swarm.size(); ++peer) count += swarm.core(peer).is_client();
    return count;
  }
  // In how many tables.
  std::size_t known(PeerIndex peer) {
    std::size_t count = 0;
    for (PeerIndex other = 0; other < swarm.size(); ++other) {
      count += swarm.core(other).table().find(swarm.identity(peer).peer_id()) != nullptr;
    }
    return count;
  }
  std::size_t found(PeerIndex peer) {
    const auto done = swarm.wait(peer, swarm.find(peer, dht::model_key({}, example_model())));
    return done ? done->records.size() : 0;
  }

  Swarm swarm;
  std::vector<PeerIndex> hidden;
  std::vector<std::pair<PeerIndex, dht::OperationId>> joins;
};

TEST_F(NatTest, HiddenPeersNoticeLeaveTheTablesAndStillFindAndPublish) {
  ASSERT_NO_FATAL_FAILURE(grow(kPeers));
  ASSERT_EQ(hidden.size(), 6u);
  swarm.run_for(minutes(2));
  for (const PeerIndex peer : hidden)
    EXPECT_TRUE(swarm.core(peer).is_client()) << "peer " << peer << " believes it is reachable";
  EXPECT_EQ(clients(), hidden.size()) << "somebody reachable believes it is not";
  swarm.run_for(minutes(3));
  for (const PeerIndex peer : hidden) EXPECT_LE(known(peer), 1u) << peer;
  std::uint64_t asks = 0, dials = 0;
  for (PeerIndex peer = 0; peer < kPeers; ++peer) {
    asks += swarm.core(peer).stats().dial_backs;
    dials += swarm.core(peer).stats().dials;
  }
  std::cout << asks << " dial-backs asked for, " << dials << " dials made\n";
  EXPECT_LE(dials, asks);

  const auto published = swarm.wait(hidden[0], swarm.publish(hidden[0], example_record(0)));
  ASSERT_TRUE(published);
  EXPECT_GE(published->replicas, 8);
  const auto other = swarm.wait(1, swarm.publish(1, example_record(0)));
  ASSERT_TRUE(other);
  EXPECT_EQ(found(2), 2u) << "a hidden peer's record is found";
  EXPECT_EQ(found(hidden[1]), 2u) << "by a hidden one too";

  // Its owner opens a port.
  const PeerIndex freed = hidden.back();
  swarm.network().set_filtered(freed, false);
  swarm.run_for(minutes(25));
  EXPECT_FALSE(swarm.core(freed).is_client());
  EXPECT_GE(known(freed), 8u) << "it introduces itself again";
  for (const PeerIndex peer : hidden) {
    EXPECT_TRUE(peer == freed || swarm.core(peer).is_client()) << peer;
  }
  EXPECT_EQ(clients(), hidden.size() - 1);
}

TEST_F(NatTest, WhereEverybodyIsReachableNobodyIsAClientAndLittleIsAsked) {
  ASSERT_NO_FATAL_FAILURE(grow(kPeers, false));
  swarm.run_for(minutes(40));
  EXPECT_EQ(clients(), 0u);
  std::uint64_t asks = 0;
  for (PeerIndex peer = 0; peer < kPeers; ++peer) asks += swarm.core(peer).stats().dial_backs;
  std::cout << asks << " dial-backs asked for in 40 minutes\n";
  EXPECT_LE(asks, std::uint64_t{kPeers} * 24);
}

TEST_F(NatTest, ASmallSwarmKeepsItsHiddenPeers) {
  ASSERT_NO_FATAL_FAILURE(grow(15));
  swarm.run_for(minutes(15));
  EXPECT_EQ(clients(), 0u);
}

struct LanTest : NatTest {
  LanTest() : NatTest(AddressKind::kPrivate) {}
};

TEST_F(LanTest, PrivateRangesCountAsReachable) {
  ASSERT_NO_FATAL_FAILURE(grow(40));
  swarm.run_for(minutes(15));
  EXPECT_EQ(clients(), 0u);
  for (PeerIndex peer = 0; peer < 40; ++peer)
    EXPECT_EQ(swarm.core(peer).stats().dial_backs, 0u) << peer;
}

}  // namespace
}  // namespace shoal::sim
