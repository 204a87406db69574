// SPDX-License-Identifier: Apache-2.0
// What finds and publishes do beside finding and publishing, in a swarm where not everybody holds
// everything: mending, doubting, and remembering who holds the record.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dht/example_record.h"
#include "tests/sim/colluder.h"
#include "tests/sim/ideal_tables.h"
#include "tests/sim/model_primitives.h"
#include "tests/sim/sorted_contacts.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {
namespace {

using dht::example_model;
using dht::example_record;
using dht::Key;
using dht::seconds;

const Key kModelKey = dht::model_key({}, example_model());
constexpr std::size_t kFind = 3;  // in Traffic::kTypes

class OperationsTest : public testing::Test {
 protected:
  void SetUp() override { choose_crypto(quick_primitives()); }
  void TearDown() override { choose_crypto(Crypto::kSodium); }
  void populate(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) all_.push_back(net.add());
    fill_ideal_tables(net, all_);
  }
  dht::Event publish(PeerIndex owner, proto::NodeState state = proto::NodeState::kOnline) {
    dht::Record record = example_record(0);
    record.load.state = state;
    const auto done = net.wait(owner, net.publish(owner, record, {kModelKey}));
    EXPECT_TRUE(done) << "the publish never ended";
    net.run_for(seconds(5));  // what was begun goes on to its end
    return done.value_or(dht::Event{});
  }
  dht::Event find(PeerIndex asker, const Key& key = kModelKey, bool secure = false) {
    const auto done = net.wait(asker, net.find(asker, key, {}, secure));
    EXPECT_TRUE(done) << "the find never ended";
    net.run_for(seconds(2));
    return done.value_or(dht::Event{});
  }
  const dht::RecordStore::Entry* held(PeerIndex holder, PeerIndex owner) {
    return net.core(holder).store().get(net.identity(owner).peer_id());
  }
  std::vector<PeerIndex> holders(PeerIndex owner) {
    std::vector<PeerIndex> result;
    for (const PeerIndex peer : all_) {
      if (peer != owner && held(peer, owner) != nullptr) result.push_back(peer);
    }
    return result;
  }
  // Of the honest ones, without `owner`.
  std::vector<PeerIndex> closest(std::size_t count, PeerIndex owner) {
    std::vector<dht::Contact> contacts;
    for (const PeerIndex peer : all_) {
      if (peer != owner && net.is_honest(peer)) contacts.push_back(net.contact(peer));
    }
    std::vector<PeerIndex> result;
    for (const dht::Contact& contact : SortedContacts(contacts).closest(kModelKey, count))
      result.push_back(net.find_peer(contact.endpoint));
    return result;
  }
  // Who neither holds the record nor is close to it.
  PeerIndex stranger() { return closest(all_.size() - 1, 0).back(); }

  Swarm net{{7, {}, AddressKind::kPublic}};
  std::vector<PeerIndex> all_;
};

TEST_F(OperationsTest, ARecordIsHeldByTheWholeRegionOfItsKey) {
  populate(300);
  const dht::Event done = publish(0);
  EXPECT_GE(done.replicas, 8);
  for (const PeerIndex peer : closest(8, 0)) EXPECT_NE(held(peer, 0), nullptr) << peer;
  EXPECT_LE(holders(0).size(), 40u);
}

TEST_F(OperationsTest, APublishGoesStraightToWhoeverTookTheRecordBefore) {
  populate(300);
  const dht::Event first = publish(0);
  const std::vector<PeerIndex> before = holders(0);
  const auto finds = [&] { return net.core(0).stats().out.by_type[kFind].messages; };
  const std::uint64_t asked = finds();
  const dht::Event second = publish(0);
  EXPECT_EQ(finds(), asked) << "nobody was looked for";
  EXPECT_LT(second.took, first.took);
  for (const PeerIndex peer : before) EXPECT_EQ(held(peer, 0)->sequence, 2u) << peer;
}

TEST_F(OperationsTest, WhenTooManyHoldersAreGoneAPublishLooksForOthers) {
  populate(300);
  publish(0);
  const std::vector<PeerIndex> before = holders(0);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i % 2 == 0) net.crash(before[i]);
  }
  all_.erase(
      std::remove_if(all_.begin(), all_.end(), [&](PeerIndex peer) { return !net.is_up(peer); }),
      all_.end());
  const dht::Event second = publish(0);
  EXPECT_GE(second.replicas, 8);
  for (const PeerIndex peer : closest(8, 0)) {
    ASSERT_NE(held(peer, 0), nullptr) << peer;
    EXPECT_EQ(held(peer, 0)->sequence, 2u) << peer;
  }
}

TEST_F(OperationsTest, AWithdrawalReachesEveryReplica) {
  populate(300);
  publish(0);
  const std::vector<PeerIndex> before = holders(0);
  publish(0, proto::NodeState::kOffline);
  for (const PeerIndex peer : before) EXPECT_EQ(held(peer, 0)->sequence, 2u) << peer;
  EXPECT_TRUE(find(stranger()).records.empty());
}

TEST_F(OperationsTest, AFindMendsReplicasThatLackTheRecord) {
  populate(300);
  publish(0);
  const std::vector<PeerIndex> forgetful = closest(2, 0);
  for (const PeerIndex peer : forgetful) {
    net.crash(peer);
    net.restart(peer);
    EXPECT_EQ(held(peer, 0), nullptr);
  }
  EXPECT_EQ(find(stranger()).records.size(), 1u);
  for (const PeerIndex peer : forgetful) EXPECT_NE(held(peer, 0), nullptr) << peer;
  EXPECT_EQ(net.core(stranger()).stats().measurements.read_repairs, 2u);
}

TEST_F(OperationsTest, AFindThatFindsNothingAsksOverOtherPaths) {
  populate(300);
  Key nobodys = kModelKey;
  nobodys.bytes[0] ^= 0x55;
  const dht::Event nothing = find(5, nobodys);
  EXPECT_TRUE(nothing.records.empty());
  EXPECT_EQ(net.core(5).stats().measurements.finds_secure, 1u);
  publish(0);
  const PeerIndex asker = stranger();
  EXPECT_EQ(find(asker).records.size(), 1u);
  EXPECT_EQ(net.core(asker).stats().measurements.finds_secure, 0u) << "what is found is enough";
}

// Colluders in two networks, closer to the key than anybody else, show the first version.
TEST_F(OperationsTest, WhereIdsCrowdAFindTakesOtherPathsAndIsNotTakenIn) {
  for (std::size_t i = 0; i < 300; ++i) all_.push_back(net.add());
  Colluders colluders(std::nullopt, Collusion::kOld);
  const std::uint32_t networks[] = {net.addresses().reserve_network(),
                                    net.addresses().reserve_network()};
  std::uint8_t host = 0;
  while (colluders.size() < 40) {
    const identity::Identity identity = net.draw_identity();
    if (dht::common_prefix(kModelKey, dht::key_of(identity.peer_id())) < 8) continue;
    ++host;
    all_.push_back(
        colluders.add_at(net, AddressPlan::host(networks[host % 2], host, 7000), identity));
  }
  fill_ideal_tables(net, all_);
  std::erase_if(all_, [&](PeerIndex peer) { return !net.is_honest(peer); });
  publish(0);
  publish(0);
  EXPECT_GE(holders(0).size(), 8u);
  std::size_t doubted = 0;
  for (PeerIndex asker = 1; asker <= 40; ++asker) {
    const dht::Event found = find(asker);
    ASSERT_EQ(found.records.size(), 1u) << asker;
    EXPECT_EQ(found.records.front().sequence, 2u) << asker;
    doubted += net.core(asker).stats().measurements.finds_secure;
  }
  EXPECT_GE(doubted, 30u);
}

}  // namespace
}  // namespace shoal::sim
