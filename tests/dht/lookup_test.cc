// SPDX-License-Identifier: Apache-2.0
#include "dht/lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "identity/random.h"

namespace shoal::dht {
namespace {

// A contact at distance `rank` from the zero key.
Contact at(std::uint8_t rank) {
  Contact contact;
  contact.peer.bytes[31] = rank;
  contact.endpoint = proto::Endpoint::v4({10, 0, 0, rank}, 1);
  return contact;
}

const proto::PeerId kSelf{{0xff}};

LookupConfig small(std::size_t alpha, std::size_t beta, std::size_t k = 20) {
  LookupConfig config;
  config.alpha = alpha;
  config.beta = beta;
  config.k = k;
  return config;
}

using Goal = LookupPlan::Goal;

std::vector<Contact> ask_all(Lookup& lookup) {
  std::vector<Contact> asked;
  while (const auto contact = lookup.next()) asked.push_back(*contact);
  return asked;
}

std::vector<Contact> ranks(std::initializer_list<std::uint8_t> ranks) {
  std::vector<Contact> result;
  for (const std::uint8_t rank : ranks) result.push_back(at(rank));
  return result;
}

void add(Lookup& lookup, std::initializer_list<std::uint8_t> ranks) {
  for (const std::uint8_t rank : ranks) lookup.add(at(rank));
}

TEST(LookupTest, AsksTheClosestFirstAndNoMoreThanAlphaAtOnce) {
  Lookup lookup({}, kSelf, small(2, 3), {});
  add(lookup, {50, 10, 30, 40});
  EXPECT_EQ(ask_all(lookup), ranks({10, 30}));
  lookup.on_answer(at(30));
  EXPECT_EQ(ask_all(lookup), ranks({40}));
}

TEST(LookupTest, FarRequestsDoNotHoldUpCloserOnes) {
  Lookup lookup({}, kSelf, small(2, 3), {});
  add(lookup, {100, 110, 120});
  EXPECT_EQ(ask_all(lookup), ranks({100, 110}));
  lookup.on_answer(at(110));
  for (const std::uint8_t rank : {10, 20, 30, 40}) lookup.add(at(rank), at(110).peer);
  // 100 is still open, and counts only against what is farther than it: within reason.
  EXPECT_EQ(ask_all(lookup), ranks({10, 20}));
  lookup.on_answer(at(20));
  EXPECT_EQ(ask_all(lookup), ranks({30}));
}

TEST(LookupTest, EndsWhenTheClosestHaveAnswered) {
  Lookup lookup({}, kSelf, small(8, 2), {});
  add(lookup, {1, 2, 3, 4, 5});
  ask_all(lookup);
  lookup.on_answer(at(2));
  lookup.on_answer(at(3));
  EXPECT_FALSE(lookup.finished());  // 1 is closer and open
  lookup.on_answer(at(1));
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.answered(2), ranks({1, 2}));
  EXPECT_EQ(lookup.next(), std::nullopt);
}

TEST(LookupTest, ALateAnswerOpensOneMoreRequestAndStillCountsWhenItComes) {
  Lookup lookup({}, kSelf, small(1, 1), {});
  add(lookup, {1, 2});
  EXPECT_EQ(ask_all(lookup), ranks({1}));
  lookup.on_slow(at(1).peer);
  EXPECT_EQ(ask_all(lookup), ranks({2}));
  lookup.on_answer(at(1));  // late
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.answered(9), ranks({1}));
}

TEST(LookupTest, AsksOnceMoreWhenNobodyElseIsLeft) {
  Lookup lookup({}, kSelf, small(8, 3), {});
  add(lookup, {1});
  EXPECT_EQ(ask_all(lookup), ranks({1}));
  EXPECT_FALSE(lookup.repeats(at(1).peer));
  lookup.on_slow(at(1).peer);
  EXPECT_EQ(ask_all(lookup), ranks({1}));
  EXPECT_TRUE(lookup.repeats(at(1).peer));
  lookup.on_slow(at(1).peer);
  EXPECT_EQ(ask_all(lookup), ranks({}));  // once only
  EXPECT_FALSE(lookup.finished());        // no answer at all: a late one is worth waiting for
  EXPECT_TRUE(lookup.exhausted());
  lookup.on_failure(at(1).peer);
  EXPECT_FALSE(lookup.finished());  // the second request is still open
  lookup.on_failure(at(1).peer);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, SuspectsAreAskedButNeverHoldASlotAndAreNotWaitedFor) {
  Lookup lookup({}, kSelf, small(1, 3), {});
  lookup.add(at(1), true);
  lookup.add(at(2));
  lookup.add(at(3));
  EXPECT_EQ(ask_all(lookup), ranks({1, 2}));
  lookup.on_answer(at(2));
  EXPECT_EQ(ask_all(lookup), ranks({3}));
  lookup.on_answer(at(3));
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, AFindGoesOnUntilEnoughReplicasSpokeOrTheNeighbourhoodHasNone) {
  LookupConfig config = small(8, 2, 5);
  config.replicas = 2;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  add(lookup, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(ask_all(lookup), ranks({1, 2, 3, 4, 5}));
  lookup.on_answer(at(1));
  lookup.on_answer(at(2), true);
  EXPECT_FALSE(lookup.finished());  // the closest answered, but one record set is one opinion
  Lookup nothing = lookup;
  lookup.on_answer(at(4), true);
  EXPECT_TRUE(lookup.finished());
  for (const std::uint8_t rank : {3, 4}) nothing.on_answer(at(rank));
  EXPECT_FALSE(nothing.finished());
  nothing.on_answer(at(5));
  EXPECT_TRUE(nothing.finished());  // all five say so
}

TEST(LookupTest, WithReplicasAtHandOnlyTheClosestAreStillAsked) {
  LookupConfig config = small(3, 2);
  config.replicas = 1;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  add(lookup, {10, 20, 30, 40, 50});
  EXPECT_EQ(ask_all(lookup), ranks({10, 20, 30}));
  lookup.on_answer(at(30), true);
  EXPECT_EQ(ask_all(lookup), ranks({}));
  lookup.on_slow(at(10).peer);
  EXPECT_FALSE(lookup.finished());
  lookup.on_answer(at(20));
  EXPECT_TRUE(lookup.finished());  // 20 and 30
}

TEST(LookupTest, EverybodyMeansAllOfTheKClosestThatLive) {
  Lookup lookup({}, kSelf, small(8, 3, 5), {.goal = Goal::kEverybody});
  add(lookup, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(ask_all(lookup).size(), 8u);  // alpha of them at once, on the way
  for (const std::uint8_t rank : {1, 3, 4, 5}) lookup.on_answer(at(rank));
  EXPECT_FALSE(lookup.finished());
  lookup.on_slow(at(2).peer);
  EXPECT_FALSE(lookup.finished());  // of the five closest one has not been heard
  lookup.on_failure(at(2).peer);
  EXPECT_FALSE(lookup.finished());  // now 6 is one of them
  lookup.on_answer(at(6));
  EXPECT_TRUE(lookup.finished());
  EXPECT_TRUE(lookup.is_neighbour(at(6).peer));
  EXPECT_FALSE(lookup.is_neighbour(at(7).peer));
}

TEST(LookupTest, ARegionIsAskedAtOnceAndWholly) {
  LookupConfig config = small(2, 2, 8);
  config.min_neighbours = 3;
  Key radius;
  radius.bytes[31] = 40;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody, .radius = radius});
  add(lookup, {90, 100});
  EXPECT_EQ(ask_all(lookup), ranks({90, 100}));
  for (const std::uint8_t rank : {10, 20, 30, 40, 41, 50}) lookup.add(at(rank), at(90).peer);
  lookup.on_answer(at(90));
  EXPECT_EQ(ask_all(lookup), ranks({10, 20, 30, 40}));  // however many alpha is
  for (const std::uint8_t rank : {10, 20, 30}) lookup.on_answer(at(rank));
  EXPECT_FALSE(lookup.finished());
  lookup.on_answer(at(40));
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.within(radius), 4u);
}

TEST(LookupTest, ARegionOfFewReachesToTheNextClosest) {
  LookupConfig config = small(2, 2, 8);
  config.min_neighbours = 3;
  Key radius;
  radius.bytes[31] = 15;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody, .radius = radius});
  add(lookup, {10, 20, 30, 40});
  for (int i = 0; i < 3; ++i) {
    for (const Contact& contact : ask_all(lookup)) lookup.on_answer(contact);
  }
  EXPECT_TRUE(lookup.finished());
  for (const std::uint8_t rank : {10, 20, 30}) EXPECT_TRUE(lookup.is_neighbour(at(rank).peer));
}

TEST(LookupTest, WhoNeverAnswersTakesNobodysPlace) {
  LookupConfig config = small(3, 2, 3);
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  add(lookup, {1, 2, 3, 40, 50});  // a liar invented the first three
  for (int round = 0; round < 6; ++round) {
    for (const Contact& contact : ask_all(lookup)) {
      if (contact.peer.bytes[31] < 40) {
        lookup.on_slow(contact.peer);
      } else {
        lookup.on_answer(contact, true);
      }
    }
  }
  EXPECT_EQ(lookup.answered(2), ranks({40, 50}));
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, AnotherAddressIsTriedWhenTheFirstIsDumb) {
  Lookup lookup({}, kSelf, small(1, 1), {});
  add(lookup, {50});
  Contact wrong = at(1);
  wrong.endpoint.port = 99;
  lookup.add(wrong, at(50).peer);
  lookup.add(at(1), at(50).peer);
  EXPECT_EQ(lookup.next(), wrong);
  lookup.on_slow(wrong.peer);
  EXPECT_EQ(lookup.next(), at(1));
  lookup.on_answer(at(1));
  EXPECT_EQ(lookup.answered(1), ranks({1}));
}

TEST(LookupTest, CountsHops) {
  Lookup lookup({}, kSelf, small(2, 3), {});
  add(lookup, {100});
  lookup.add(at(50), at(100).peer);
  lookup.add(at(10), at(50).peer);
  lookup.add(at(10), at(100).peer);  // known already
  EXPECT_EQ(lookup.hops(at(100).peer), 1);
  EXPECT_EQ(lookup.hops(at(50).peer), 2);
  EXPECT_EQ(lookup.hops(at(10).peer), 3);
  EXPECT_EQ(lookup.hops(at(77).peer), 0);
}

LookupPlan careful() { return {.goal = Goal::kEverybody, .secure = true}; }

TEST(LookupTest, SecurePathsShareNoCandidateAndEachHasItsOwnSlots) {
  LookupConfig config = small(8, 1, 4);
  config.paths = 2;
  config.path_alpha = 1;
  Lookup lookup({}, kSelf, config, careful());
  add(lookup, {100, 110, 120, 130});  // in turns: 100 and 120 on one path, 110 and 130 on the other
  EXPECT_EQ(ask_all(lookup), ranks({100, 110}));
  lookup.on_answer(at(100));
  for (const std::uint8_t rank : {1, 2, 3}) lookup.add(at(rank), at(100).peer);
  lookup.on_answer(at(110));
  for (const std::uint8_t rank : {3, 50, 60}) lookup.add(at(rank), at(110).peer);
  // The other path goes its own way, however close the first one claims to be.
  EXPECT_EQ(ask_all(lookup), ranks({1, 50}));
}

TEST(LookupTest, ASecureLookupOutlivesAPathOfLiars) {
  LookupConfig config = small(8, 2, 3);
  config.paths = 2;
  config.path_alpha = 1;
  Lookup lookup({}, kSelf, config, careful());
  add(lookup, {200, 210});
  ask_all(lookup);
  lookup.on_answer(at(200));  // knows colluders only
  for (const std::uint8_t rank : {40, 41, 42, 43}) lookup.add(at(rank), at(200).peer);
  for (int i = 0; i < 4; ++i) {
    for (const Contact& contact : ask_all(lookup)) lookup.on_answer(contact);
  }
  EXPECT_FALSE(lookup.finished()) << "210 has not spoken";
  lookup.on_answer(at(210));
  lookup.add(at(10), at(210).peer);
  EXPECT_EQ(ask_all(lookup), ranks({10}));
  lookup.on_answer(at(10));
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.answered(1), ranks({10}));
}

TEST(LookupTest, GoesOnSecurelyWithWhatItKnows) {
  LookupConfig config = small(8, 1, 3);
  config.paths = 3;
  config.path_alpha = 1;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  add(lookup, {10, 20, 30});
  for (const Contact& contact : ask_all(lookup)) lookup.on_answer(contact);
  EXPECT_TRUE(lookup.finished());  // nobody has a record
  lookup.secure();
  EXPECT_TRUE(lookup.finished());  // and nobody else is known
  add(lookup, {100, 110});
  EXPECT_FALSE(lookup.finished());
  EXPECT_EQ(ask_all(lookup), ranks({100, 110}));  // a path each
  lookup.on_answer(at(100));
  lookup.on_answer(at(110));
  lookup.add(at(5), at(110).peer);
  EXPECT_EQ(ask_all(lookup), ranks({5}));
}

TEST(LookupTest, WidenedItHearsTheWholeNeighbourhood) {
  LookupConfig config = small(8, 1, 4);
  config.replicas = 1;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  add(lookup, {1, 2, 3, 4, 5});
  ask_all(lookup);
  lookup.on_answer(at(1), true);
  EXPECT_TRUE(lookup.finished());
  lookup.widen();
  EXPECT_FALSE(lookup.finished());
  for (const std::uint8_t rank : {2, 3, 4}) lookup.on_answer(at(rank));
  EXPECT_TRUE(lookup.finished());
}

// A contact in a public network: 8.x.NETWORK.rank.
Contact in_network(std::uint8_t rank, std::uint8_t wide, std::uint8_t narrow) {
  Contact contact = at(rank);
  contact.endpoint = proto::Endpoint::v4({8, wide, narrow, rank}, 1);
  return contact;
}

TEST(LookupTest, FewOfOneNetworkCountAsClose) {
  LookupConfig config = small(8, 3, 4);
  config.min_neighbours = 2;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody});
  for (std::uint8_t rank = 1; rank <= 10; ++rank) lookup.add(in_network(rank, 1, 1));
  for (std::uint8_t rank = 11; rank <= 20; ++rank) lookup.add(in_network(rank, 1, rank));
  for (std::uint8_t rank = 101; rank <= 103; ++rank) lookup.add(in_network(rank, rank, rank));
  std::vector<std::uint8_t> asked;
  while (!lookup.finished()) {
    const auto contact = lookup.next();
    ASSERT_TRUE(contact);
    asked.push_back(contact->peer.bytes[31]);
    lookup.on_answer(*contact, true);
  }
  // Two of the /24, three of the /16, then the others.
  EXPECT_EQ(asked, (std::vector<std::uint8_t>{1, 2, 11, 101}));
}

TEST(LookupTest, ASwarmInOneNetworkIsStillFound) {
  LookupConfig config = small(8, 3, 20);
  config.min_neighbours = 5;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody});
  for (std::uint8_t rank = 1; rank <= 10; ++rank) lookup.add(in_network(rank, 1, 1));
  EXPECT_EQ(ask_all(lookup).size(), 5u);
  for (std::uint8_t rank = 1; rank <= 5; ++rank) lookup.on_answer(in_network(rank, 1, 1));
  EXPECT_TRUE(lookup.finished());
  LookupPlan keyed{.goal = Goal::kEverybody};
  keyed.diversity.enabled = false;
  Lookup invited({}, kSelf, config, keyed);
  for (std::uint8_t rank = 1; rank <= 10; ++rank) invited.add(in_network(rank, 1, 1));
  EXPECT_EQ(ask_all(invited).size(), 8u);
}

TEST(LookupTest, ReplicasOfOneNetworkAreOneOpinion) {
  LookupConfig config = small(8, 1);
  config.replicas = 2;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kRecords});
  const Contact first = in_network(1, 1, 1), second = in_network(2, 1, 1),
                other = in_network(3, 2, 2);
  for (const Contact& contact : {first, second, other, in_network(4, 3, 3)}) lookup.add(contact);
  ask_all(lookup);
  lookup.on_answer(first, true);
  lookup.on_answer(second, true);
  EXPECT_FALSE(lookup.finished());
  lookup.on_answer(other, true);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, SilentOnesOfANetworkMakeRoomForFewOthersOfIt) {
  LookupConfig config = small(2, 1, 2);
  config.min_neighbours = 1;
  LookupPlan plan{.goal = Goal::kEverybody};
  plan.diversity.near_narrow = 1;
  plan.diversity.near_silent = 2;
  Lookup lookup({}, kSelf, config, plan);
  for (std::uint8_t rank = 1; rank <= 9; ++rank) lookup.add(in_network(rank, 1, 1));
  for (std::uint8_t rank = 101; rank <= 103; ++rank) lookup.add(in_network(rank, rank, rank));
  std::set<std::uint8_t> asked;
  while (!lookup.finished()) {
    const auto contact = lookup.next();
    ASSERT_TRUE(contact);
    const std::uint8_t rank = contact->peer.bytes[31];
    asked.insert(rank);
    if (rank > 100) {
      lookup.on_answer(*contact);
    } else {
      lookup.on_failure(contact->peer);
    }
  }
  EXPECT_EQ(asked, (std::set<std::uint8_t>{1, 2, 101, 102}));
}

TEST(LookupTest, InACrowdedRegionEveryDistanceHasItsShare) {
  LookupConfig config = small(4, 2, 4);
  config.min_neighbours = 1;
  config.max_in_shell = 2;
  Key radius;
  radius.bytes[0] = 160;  // shells of 40
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody, .radius = radius});
  const auto high = [](std::uint8_t first) {
    Contact contact = at(1);
    contact.peer.bytes[0] = first;
    return contact;
  };
  for (const std::uint8_t first : {45, 85, 125}) lookup.add(high(first));  // as many as expected
  for (std::uint8_t first = 1; first <= 5; ++first) lookup.add(high(first));
  EXPECT_TRUE(lookup.is_neighbour(high(3).peer)) << "eight are no crowd";
  lookup.add(high(6));
  std::set<std::uint8_t> asked;
  while (const auto contact = lookup.next()) {
    asked.insert(contact->peer.bytes[0]);
    lookup.on_answer(*contact);
  }
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(asked, (std::set<std::uint8_t>{1, 2, 45, 85, 125}));
}

TEST(LookupTest, WhoeverTellsOfManyThatAreNotThereIsBelievedNoMore) {
  LookupConfig config = small(2, 2);
  config.max_missed = 3;
  config.min_neighbours = 2;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody});
  add(lookup, {200, 210});
  ask_all(lookup);
  lookup.on_answer(at(200));
  for (std::uint8_t rank = 1; rank <= 20; ++rank) lookup.add(at(rank), at(200).peer);  // ghosts
  lookup.on_answer(at(210));
  for (const std::uint8_t rank : {7, 50, 60}) lookup.add(at(rank), at(210).peer);
  std::set<std::uint8_t> asked;
  while (!lookup.finished()) {
    const auto contact = lookup.next();
    ASSERT_TRUE(contact);
    const std::uint8_t rank = contact->peer.bytes[31];
    asked.insert(rank);
    if (rank == 7 || rank >= 50) {
      lookup.on_answer(*contact);
    } else {
      lookup.on_slow(contact->peer);
    }
  }
  // Of the ghosts as many as it takes, and whom somebody else told of, too.
  EXPECT_LE(asked.size(), 8u);
  for (const std::uint8_t rank : {7, 50, 60}) EXPECT_TRUE(asked.contains(rank)) << int{rank};
}

TEST(LookupTest, WhereNobodyElseIsKnownEvenTheDoubtedAreAsked) {
  LookupConfig config = small(2, 2);
  config.max_missed = 1;
  config.min_neighbours = 4;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody});
  add(lookup, {200});
  ask_all(lookup);
  lookup.on_answer(at(200));
  for (const std::uint8_t rank : {1, 2, 3}) lookup.add(at(rank), at(200).peer);
  ask_all(lookup);
  lookup.on_failure(at(1).peer);
  lookup.on_failure(at(2).peer);
  EXPECT_EQ(ask_all(lookup), ranks({3}));
}

TEST(LookupTest, TheWidthReachesBeyondARegionOfFew) {
  LookupConfig config = small(4, 2, 8);
  config.min_neighbours = 1;
  Key radius;
  radius.bytes[31] = 15;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody, .radius = radius, .width = 3});
  add(lookup, {10, 20, 30, 40});
  for (const std::uint8_t rank : {10, 20, 30}) EXPECT_TRUE(lookup.is_neighbour(at(rank).peer));
  EXPECT_FALSE(lookup.is_neighbour(at(40).peer));
}

TEST(LookupTest, WhenFullTheCrowdGivesWayFirst) {
  LookupConfig config = small(2, 3, 8);
  config.max_candidates = 10;
  config.min_neighbours = 2;
  Lookup lookup({}, kSelf, config, {.goal = Goal::kEverybody});
  for (std::uint8_t rank = 1; rank <= 10; ++rank) lookup.add(in_network(rank, 1, 1));
  for (std::uint8_t rank = 101; rank <= 106; ++rank) lookup.add(in_network(rank, rank, rank));
  for (std::uint8_t rank = 101; rank <= 106; ++rank)
    EXPECT_TRUE(lookup.is_neighbour(at(rank).peer)) << int{rank};
}

TEST(LookupTest, EndsWhenItIsLedInCircles) {
  LookupConfig config = small(4, 3);
  config.max_requests = 20;
  Lookup lookup({}, kSelf, config, {});
  add(lookup, {250});
  std::uint8_t rank = 250;
  int asked = 0;
  while (const auto contact = lookup.next()) {
    ASSERT_LE(++asked, 20);
    lookup.on_answer(*contact);
    for (int i = 0; i < 5; ++i) lookup.add(at(--rank), contact->peer);  // always closer ones
  }
  EXPECT_EQ(asked, 20);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, EmptyEndsAtOnceAndItselfIsNeverAsked) {
  Lookup lookup({}, kSelf, {}, {});
  lookup.add({kSelf, at(1).endpoint});
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.next(), std::nullopt);
}

TEST(LookupTest, KeepsTheClosestOfManyCandidates) {
  LookupConfig config = small(2, 3);
  config.max_candidates = 10;
  Lookup lookup({}, kSelf, config, {});
  for (int rank = 200; rank > 0; --rank) lookup.add(at(static_cast<std::uint8_t>(rank)));
  EXPECT_EQ(lookup.candidates(), 10u);
  EXPECT_EQ(lookup.next(), at(1));
}

// Whatever comes in whatever order, a lookup ends after a bounded number of questions, and until
// then always waits for somebody.
TEST(LookupTest, AlwaysEnds) {
  identity::Random random(8);
  for (int run = 0; run < 1000; ++run) {
    LookupConfig config = small(1 + random.below(8), 1 + random.below(4));
    config.max_candidates = 30;
    config.max_requests = 60;
    LookupPlan plan;
    plan.goal = static_cast<Goal>(random.below(3));
    plan.secure = random.below(3) == 0;
    if (random.below(2) == 0)
      plan.radius.emplace().bytes[31] = static_cast<std::uint8_t>(random.below(256));
    Lookup lookup(Key{}, kSelf, config, plan);
    std::vector<Contact> open;
    std::size_t asked = 0;
    const auto any = [&] { return at(static_cast<std::uint8_t>(random.below(250) + 1)); };
    for (int i = 0; i < 5; ++i) lookup.add(any(), random.below(5) == 0);
    for (int steps = 0;; ++steps) {
      ASSERT_LT(steps, 5000);
      while (const auto contact = lookup.next()) {
        open.push_back(*contact);
        ASSERT_LE(++asked, 2 * config.max_requests);
      }
      EXPECT_EQ(lookup.asked(), asked);
      if (lookup.finished()) {
        if (random.below(3) != 0) break;
        if (random.below(2) == 0) {
          lookup.widen();
        } else {
          lookup.secure();
        }
        if (lookup.finished()) break;
        continue;
      }
      ASSERT_FALSE(open.empty()) << "waits for nobody";
      const std::size_t i = random.below(open.size());
      const Contact contact = open[i];
      switch (random.below(3)) {
        case 0:
          lookup.on_answer(contact, random.below(2) == 0);
          for (int j = 0; j < 3; ++j) lookup.add(any(), contact.peer);
          break;
        case 1:
          lookup.on_slow(contact.peer);
          continue;  // still open
        default:
          lookup.on_failure(contact.peer);
      }
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace
}  // namespace shoal::dht
