// SPDX-License-Identifier: Apache-2.0
// Replicas keep up with their owner, and readers with the replicas: newer versions reach holders
// that were silent and peers that came near, and are found behind the first page. Each is a case
// that the fault campaign found broken.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dht/example_record.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {
namespace {

using dht::example_model;
using dht::example_record;
using dht::Key;
using dht::seconds;

const Key kModelKey = dht::model_key({}, example_model());

class ReplicasTest : public testing::Test {
 protected:
  void grow(std::size_t n) {
    for (PeerIndex peer = 0; peer < n; ++peer) {
      net.add();
      if (peer == 0) continue;
      const auto done = net.wait(peer, net.bootstrap(peer, {0}));
      ASSERT_TRUE(done && done->ok) << peer;
    }
    net.run_for(seconds(60));  // everybody knows everybody
  }
  void publish(PeerIndex owner) {
    ASSERT_TRUE(net.wait(owner, net.publish(owner, example_record(0), {kModelKey})));
    net.run_for(seconds(5));  // what was begun goes on to its end
  }
  std::uint64_t version_at(PeerIndex holder, PeerIndex owner) {
    const auto* entry = net.core(holder).store().get(net.identity(owner).peer_id());
    return entry == nullptr ? 0 : entry->sequence;
  }
  std::vector<PeerIndex> holders(PeerIndex owner) {
    std::vector<PeerIndex> result;
    for (PeerIndex peer = 0; peer < net.size(); ++peer) {
      if (peer != owner && version_at(peer, owner) > 0) result.push_back(peer);
    }
    return result;
  }
  void cut_off(const std::vector<PeerIndex>& peers) {
    for (const PeerIndex peer : peers) net.network().set_group(peer, 1);
    net.network().cut(0, 1, true);
    net.network().cut(1, 0, true);
  }
  // Of a record each, all versions the same.
  std::vector<std::uint64_t> versions_found(PeerIndex asker) {
    std::vector<std::uint64_t> result;
    const auto done = net.wait(asker, net.find(asker, kModelKey));
    EXPECT_TRUE(done) << "the find never ended";
    if (done) {
      for (const dht::Record& record : done->records) result.push_back(record.sequence);
    }
    return result;
  }
  Swarm net{{1, {}, AddressKind::kPrivate}};
};

TEST_F(ReplicasTest, NewVersionsAreReadBehindTheFirstPageToo) {
  constexpr PeerIndex kOwners = 12;
  ASSERT_NO_FATAL_FAILURE(grow(kOwners));
  for (PeerIndex owner = 0; owner < kOwners; ++owner) publish(owner);
  // The last one holds as many records as the others, all of them old.
  cut_off({kOwners - 1});
  for (PeerIndex owner = 0; owner + 1 < kOwners; ++owner)
    net.publish(owner, example_record(0), {kModelKey}, [](const dht::Event&) {});
  net.run_for(seconds(5));
  net.network().heal();
  const std::vector<std::uint64_t> versions = versions_found(kOwners - 1);
  EXPECT_EQ(versions.size(), kOwners);
  EXPECT_EQ(std::count(versions.begin(), versions.end(), 2u), kOwners - 1);
}

TEST_F(ReplicasTest, FindsEndThoughTheirReplicasVanishBetweenTwoPages) {
  constexpr PeerIndex kOwners = 20;
  ASSERT_NO_FATAL_FAILURE(grow(kOwners));
  for (PeerIndex owner = 0; owner < kOwners; ++owner) publish(owner);
  const PeerIndex reader = net.add();
  ASSERT_TRUE(net.wait(reader, net.bootstrap(reader, {0})));
  const auto id = net.find(reader, kModelKey);
  net.run_for(dht::milliseconds(150));  // first pages are in, further ones are asked for
  for (PeerIndex owner = 0; owner < kOwners; ++owner) net.crash(owner);
  const auto done = net.wait(reader, id);
  ASSERT_TRUE(done) << "the find never ended";
  EXPECT_FALSE(done->records.empty());
  EXPECT_EQ(net.core(reader).stats().operations, 0u);
}

TEST_F(ReplicasTest, ANewVersionReachesAHolderThatMissedTheOneBefore) {
  ASSERT_NO_FATAL_FAILURE(grow(40));
  publish(0);
  const PeerIndex deaf = holders(0).back();
  cut_off({deaf});
  publish(0);
  EXPECT_EQ(version_at(deaf, 0), 1u);
  net.network().heal();
  publish(0);
  EXPECT_EQ(version_at(deaf, 0), 3u);
}

TEST_F(ReplicasTest, ANewVersionReachesBothSidesOfACutThatHealed) {
  ASSERT_NO_FATAL_FAILURE(grow(40));
  std::vector<PeerIndex> others;
  for (PeerIndex peer = 20; peer < 40; ++peer) others.push_back(peer);
  cut_off(others);
  net.run_for(seconds(120));
  publish(0);  // its region is all on one side
  publish(20);
  net.network().heal();
  net.run_for(seconds(60));
  publish(0);
  for (PeerIndex peer = 1; peer < 40; ++peer) {
    const std::vector<std::uint64_t> versions = versions_found(peer);
    EXPECT_EQ(versions.size(), 2u) << peer;
    EXPECT_EQ(std::count(versions.begin(), versions.end(), 2u), 1) << peer;
  }
}

TEST_F(ReplicasTest, ANewVersionReachesWhomTheOwnerKnowsThoughItIsTooSlowForLookups) {
  ASSERT_NO_FATAL_FAILURE(grow(6));
  publish(0);
  net.pause(3, seconds(2));  // longer than any lookup waits, shorter than a request
  publish(0);
  EXPECT_EQ(version_at(3, 0), 2u);
}

TEST_F(ReplicasTest, WhoeverLostALargeTableIsBackWithinAMinute) {
  ASSERT_NO_FATAL_FAILURE(grow(40));
  cut_off({39});
  net.run_for(seconds(200));  // it has given up everybody
  ASSERT_EQ(net.core(39).table().size(), 0u);
  net.network().heal();
  net.run_for(seconds(60));
  EXPECT_GT(net.core(39).table().size(), 20u);
}

TEST_F(ReplicasTest, WhoeverIsHandedARecordByItsOwnerGetsTheNextVersionToo) {
  ASSERT_NO_FATAL_FAILURE(grow(40));
  publish(0);
  for (PeerIndex newcomer = 40; newcomer < 48; ++newcomer) {
    net.add();
    ASSERT_TRUE(net.wait(newcomer, net.bootstrap(newcomer, {0})));
  }
  net.run_for(seconds(10));
  const std::vector<PeerIndex> handed = holders(0);
  ASSERT_GE(handed.back(), 40u);
  publish(0);
  for (const PeerIndex peer : handed) {
    if (peer < 40) continue;
    EXPECT_EQ(version_at(peer, 0), 2u) << peer;
  }
}

}  // namespace
}  // namespace shoal::sim
