// SPDX-License-Identifier: Apache-2.0
#include "dht/lookup.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dht/random.h"

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

TEST(LookupTest, AsksTheClosestFirstAndNoMoreThanAlphaAtOnce) {
  Lookup lookup({}, kSelf, small(2, 3));
  for (const std::uint8_t rank : {5, 1, 3}) lookup.add(at(rank));
  EXPECT_EQ(lookup.next(), at(1));
  EXPECT_EQ(lookup.next(), at(3));
  EXPECT_EQ(lookup.next(), std::nullopt);
  lookup.add(at(2));
  lookup.on_answer(at(1).peer);
  EXPECT_EQ(lookup.next(), at(2));
}

TEST(LookupTest, EndsWhenTheClosestHaveAnswered) {
  Lookup lookup({}, kSelf, small(8, 2));
  for (std::uint8_t rank = 1; rank <= 5; ++rank) lookup.add(at(rank));
  while (lookup.next()) {
  }
  lookup.on_answer(at(2).peer);
  lookup.on_answer(at(3).peer);
  EXPECT_FALSE(lookup.finished());  // 1 is closer and open
  lookup.on_answer(at(1).peer);
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.answered(2), (std::vector<Contact>{at(1), at(2)}));
  EXPECT_EQ(lookup.next(), std::nullopt);
}

TEST(LookupTest, AnOverdueAnswerOpensOneMoreRequestAndStillCountsWhenItComes) {
  Lookup lookup({}, kSelf, small(1, 1));
  lookup.add(at(1));
  lookup.add(at(2));
  EXPECT_EQ(lookup.next(), at(1));
  EXPECT_EQ(lookup.next(), std::nullopt);
  EXPECT_TRUE(lookup.on_slow(at(1).peer));
  EXPECT_EQ(lookup.next(), at(2));
  lookup.on_answer(at(1).peer);  // late
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.answered(9), std::vector<Contact>{at(1)});
}

TEST(LookupTest, AsksAgainWhenNobodyElseIsLeft) {
  Lookup lookup({}, kSelf, small(8, 3));
  lookup.add(at(1));
  EXPECT_EQ(lookup.next(), at(1));
  EXPECT_FALSE(lookup.on_slow(at(1).peer));
  EXPECT_FALSE(lookup.finished());
  EXPECT_TRUE(lookup.on_slow(at(1).peer));  // once only
  EXPECT_FALSE(lookup.finished());          // no answer at all: a late one is worth waiting for
  EXPECT_TRUE(lookup.exhausted());
  lookup.on_failure(at(1).peer);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, SuspectsAreAskedButNotWaitedFor) {
  Lookup lookup({}, kSelf, small(8, 3));
  lookup.add(at(1), true);
  lookup.add(at(2));
  EXPECT_EQ(lookup.next(), at(1));
  EXPECT_EQ(lookup.next(), at(2));
  lookup.on_answer(at(2).peer);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, ExhaustiveAsksAllOfTheKClosest) {
  LookupConfig config = small(8, 3, 5);
  config.exhaustive = true;
  Lookup lookup({}, kSelf, config);
  for (std::uint8_t rank = 1; rank <= 9; ++rank) lookup.add(at(rank));
  for (std::uint8_t rank = 1; rank <= 5; ++rank) EXPECT_EQ(lookup.next(), at(rank));
  EXPECT_EQ(lookup.next(), std::nullopt);  // five are enough while none fails
  lookup.on_failure(at(2).peer);
  EXPECT_EQ(lookup.next(), at(6));
  for (const std::uint8_t rank : {1, 3, 4, 5}) lookup.on_answer(at(rank).peer);
  EXPECT_FALSE(lookup.finished());
  lookup.on_answer(at(6).peer);
  EXPECT_TRUE(lookup.finished());
}

TEST(LookupTest, EmptyEndsAtOnceAndItselfIsNeverAsked) {
  Lookup lookup({}, kSelf, {});
  lookup.add({kSelf, at(1).endpoint});
  EXPECT_TRUE(lookup.finished());
  EXPECT_EQ(lookup.next(), std::nullopt);
}

TEST(LookupTest, KeepsTheClosestOfManyCandidates) {
  LookupConfig config = small(2, 3);
  config.max_candidates = 10;
  Lookup lookup({}, kSelf, config);
  for (int rank = 200; rank > 0; --rank) lookup.add(at(static_cast<std::uint8_t>(rank)));
  EXPECT_EQ(lookup.candidates(), 10u);
  EXPECT_EQ(lookup.next(), at(1));
}

// Whatever comes in whatever order, a lookup ends after a bounded number of questions.
TEST(LookupTest, AlwaysEnds) {
  Random random(8);
  for (int run = 0; run < 300; ++run) {
    LookupConfig config = small(1 + random.below(8), 1 + random.below(4));
    config.exhaustive = random.below(2) == 0;
    config.max_candidates = 30;
    Lookup lookup(Key{random.bytes<32>()}, kSelf, config);
    std::vector<Contact> open;
    int asked = 0;
    for (int i = 0; i < 5; ++i)
      lookup.add(at(static_cast<std::uint8_t>(random.below(250) + 1)), random.below(5) == 0);
    while (!lookup.finished()) {
      while (const auto contact = lookup.next()) {
        open.push_back(*contact);
        ASSERT_LT(++asked, 300);
      }
      if (lookup.finished()) break;
      ASSERT_FALSE(open.empty()) << "waits for nobody";
      const std::size_t i = random.below(open.size());
      const Contact contact = open[i];
      switch (random.below(3)) {
        case 0:
          lookup.on_answer(contact.peer);
          for (int j = 0; j < 3; ++j)
            lookup.add(at(static_cast<std::uint8_t>(random.below(250) + 1)));
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
