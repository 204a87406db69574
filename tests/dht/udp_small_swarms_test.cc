// SPDX-License-Identifier: Apache-2.0
// Swarms of 1, 2, 3, 5 and 20 peers on real sockets: what most private swarms are. Everybody knows
// everybody and holds everything, so that whoever is left is enough.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dht/loopback_swarm.h"

namespace shoal::dht {
namespace {

using Member = LoopbackSwarm::Member;
using Clock = std::chrono::steady_clock;

// What a volunteer waits for who starts a node beside others: the goal on loopback, where a round
// trip costs nothing and all of a join is our own doing.
constexpr std::chrono::seconds kLongestJoin{1};
// Beyond the timer by which a small swarm looks for a bootstrap that was away.
constexpr std::chrono::seconds kReturn{25};

const std::vector<Key>& keys() {
  static const std::vector<Key> keys = keys_of(identity::SwarmId{}, example_record(1));
  return keys;
}

// One live record of every member; each member but the first joined through it.
void grow(LoopbackSwarm& swarm, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    Member& member = swarm.add();
    if (i > 0) {
      const auto begin = Clock::now();
      const absl::Status joined = swarm.bootstrap(member, {swarm.members().front()->endpoint});
      ASSERT_TRUE(joined.ok()) << joined;
      EXPECT_LE(Clock::now() - begin, kLongestJoin) << "peer " << i << " of " << size;
    }
    EXPECT_EQ(swarm.publish(member, example_record(1)), static_cast<int>(i)) << "replicas";
  }
}

bool knows_all(LoopbackSwarm& swarm, Member& member, std::size_t peers, std::size_t records) {
  const DhtStats stats = swarm.stats(member);
  return stats.contacts == peers - 1 && stats.records == records;
}
bool knows_all(LoopbackSwarm& swarm, Member& member, std::size_t size) {
  return knows_all(swarm, member, size, size);
}

class SmallSwarmTest : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, SmallSwarmTest, testing::Values(1, 2, 3, 5, 20));

TEST_P(SmallSwarmTest, EveryPeerKnowsAllAndFindsAll) {
  LoopbackSwarm swarm;
  ASSERT_NO_FATAL_FAILURE(grow(swarm, GetParam()));
  for (auto& member : swarm.members()) {
    EXPECT_TRUE(eventually([&] { return knows_all(swarm, *member, GetParam()); }))
        << swarm.stats(*member).contacts << " contacts, " << swarm.stats(*member).records
        << " records";
  }
  for (auto& member : swarm.members()) {
    for (const Key& key : {keys()[0], keys()[1], keys().back()})
      EXPECT_EQ(swarm.find(*member, key).size(), GetParam());
  }
}

// In the large one the first, the last and two between stand for all.
TEST_P(SmallSwarmTest, AnySingleSurvivorServesAllRecords) {
  const std::size_t size = GetParam();
  for (std::size_t survivor = 0; survivor<size; survivor += size> 5 ? 6 : 1) {
    if (size > 5 && survivor == 18) survivor = 19;
    LoopbackSwarm swarm;
    ASSERT_NO_FATAL_FAILURE(grow(swarm, size));
    Member& left = *swarm.members()[survivor];
    EXPECT_TRUE(eventually([&] { return knows_all(swarm, left, size); }));
    for (auto& member : swarm.members()) {
      if (member.get() != &left) swarm.stop(*member);
    }
    EXPECT_EQ(swarm.find(left, keys()[1]).size(), size) << "peer " << survivor << " by itself";
    Member& stranger = swarm.add({kLoopback, true, {}});
    const auto begin = Clock::now();
    ASSERT_TRUE(swarm.bootstrap(stranger, {left.endpoint}).ok());
    // Its other contacts are all dead, and asked in vain: that takes the time-outs of a lookup.
    EXPECT_LE(Clock::now() - begin, std::chrono::seconds(5));
    EXPECT_EQ(swarm.find(stranger, keys()[0]).size(), size) << "of peer " << survivor;
  }
}

// All sizes side by side: they wait for the same timers.
TEST(SmallSwarmsTest, TheBootstrapDiesAndReturns) {
  struct Case {
    std::size_t size;
    LoopbackSwarm swarm;
    Member* returned = nullptr;
  };
  std::vector<std::unique_ptr<Case>> cases;
  for (const std::size_t size : {2, 3, 5, 20}) {
    cases.push_back(std::make_unique<Case>());
    cases.back()->size = size;
    ASSERT_NO_FATAL_FAILURE(grow(cases.back()->swarm, size));
  }
  for (auto& one : cases) {
    Member& first = *one->swarm.members().front();
    Member& last = *one->swarm.members().back();
    EXPECT_TRUE(eventually([&] { return knows_all(one->swarm, last, one->size); }));
    one->swarm.stop(first);
    EXPECT_EQ(one->swarm.find(last, keys()[1]).size(), one->size) << "its record lives on";
    // It knows nobody, and nobody tells it to join: the others find it.
    one->returned = &one->swarm.add({first.endpoint, false, {}}, first.identity);
  }
  for (auto& one : cases) {
    // Nobody gives it its own record, which it lost: it publishes it again.
    EXPECT_TRUE(eventually(
        [&] { return knows_all(one->swarm, *one->returned, one->size, one->size - 1); }, kReturn))
        << one->size << " peers; it has " << one->swarm.stats(*one->returned).contacts
        << " contacts, " << one->swarm.stats(*one->returned).records << " records";
    EXPECT_EQ(one->swarm.find(*one->returned, keys()[1]).size(), one->size);
    Member& late = one->swarm.add();
    const auto begin = Clock::now();
    ASSERT_TRUE(one->swarm.bootstrap(late, {one->returned->endpoint}).ok());
    EXPECT_LE(Clock::now() - begin, kLongestJoin);
    EXPECT_EQ(one->swarm.find(late, keys()[1]).size(), one->size);
  }
}

}  // namespace
}  // namespace shoal::dht
