// SPDX-License-Identifier: Apache-2.0
// What is kept for later sessions: found by its whole beginning only, gone after a while, and when
// there is no room, of those who keep most and least lately used.
#include "node/device/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace shoal::node {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr PrefixIndex::Time kStart{};
constexpr PartOfSpan kAll{0, 4};

proto::PeerId keeper(int id) {
  proto::PeerId result;
  result.bytes[0] = static_cast<std::uint8_t>(id);
  return result;
}
proto::PageHash hash_of(int number) {
  proto::PageHash result;
  result.bytes[0] = static_cast<std::uint8_t>(number);
  result.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  return result;
}
std::vector<proto::PageHash> chain_of(std::vector<int> numbers) {
  std::vector<proto::PageHash> result;
  for (const int number : numbers) result.push_back(hash_of(number));
  return result;
}
using Pages = std::vector<std::int32_t>;

TEST(PrefixIndex, FindsTheLongestBeginningOfTheSameBlocks) {
  PrefixIndex index;
  for (const int i : {0, 1, 3}) index.add(hash_of(i), kAll, 10 + i, keeper(1), kStart);
  EXPECT_EQ(index.find(chain_of({0, 1, 2, 3}), kAll, kStart), (Pages{10, 11}));
  EXPECT_EQ(index.find(chain_of({1, 0}), kAll, kStart), (Pages{11, 10}))
      << "what follows what is the hashes' business";
  EXPECT_TRUE(index.find(chain_of({2, 0}), kAll, kStart).empty());
  EXPECT_TRUE(index.find(chain_of({0}), {1, 3}, kStart).empty());
  EXPECT_TRUE(index.find(chain_of({0}), {0, 3}, kStart).empty());
  index.add(hash_of(0), {1, 3}, 99, keeper(1), kStart);
  EXPECT_EQ(index.find(chain_of({0, 1}), {1, 3}, kStart), Pages{99});
  EXPECT_EQ(index.find(chain_of({0, 0, 1}), kAll, kStart), Pages{10}) << "a page stands once";
  EXPECT_EQ(index.size(), 4u);
}

TEST(PrefixIndex, TheEndOfAChainGoesBeforeItsBeginning) {
  PrefixIndex index;
  for (const int i : {0, 1, 2, 3}) index.add(hash_of(i), kAll, i, keeper(1), kStart);
  index.find(chain_of({0, 1, 2}), kAll, kStart);
  Pages gone;
  while (const auto victim = index.victim()) {
    gone.push_back(*victim);
    index.remove(*victim);
  }
  EXPECT_EQ(gone, (Pages{3, 2, 1, 0}));
  EXPECT_EQ(index.size(), 0u);
  EXPECT_FALSE(index.touch(hash_of(0), kAll, kStart));
}

TEST(PrefixIndex, WhoKeepsMostGivesFirst) {
  PrefixIndex index;
  for (int i = 0; i < 3; ++i) index.add(hash_of(i), kAll, i, keeper(1), kStart);
  for (int i = 10; i < 15; ++i) index.add(hash_of(i), kAll, i, keeper(2), kStart + seconds(9));
  std::map<int, int> left{{1, 3}, {2, 5}};
  for (int n = 0; n < 6; ++n) {
    const std::int32_t page = *index.victim();
    const int owner = page < 10 ? 1 : 2, other = 3 - owner;
    EXPECT_GE(left[owner], left[other]);
    --left[owner];
    index.remove(page);
  }
  EXPECT_EQ(left[1], 1);
  EXPECT_EQ(left[2], 1);
}

TEST(PrefixIndex, WhatIsNotUsedGoesAfterAWhile) {
  PrefixIndex index;
  index.add(hash_of(0), kAll, 0, keeper(1), kStart);
  index.add(hash_of(1), kAll, 1, keeper(2), kStart);
  index.add(hash_of(2), kAll, 2, keeper(1), kStart + minutes(1));
  EXPECT_TRUE(index.touch(hash_of(0), kAll, kStart + minutes(2)));
  EXPECT_TRUE(index.expire(kStart + kKeptFor - seconds(1)).empty());
  EXPECT_EQ(index.expire(kStart + kKeptFor), Pages{1});
  EXPECT_EQ(index.expire(kStart + kKeptFor + minutes(1)), Pages{2});
  EXPECT_EQ(index.expire(kStart + kKeptFor + minutes(2)), Pages{0});
  EXPECT_FALSE(index.victim().has_value());
}

TEST(PrefixIndex, HoldsWhateverComes) {
  struct Known {
    std::int32_t page;
    int peer;
    std::uint64_t use;
    PrefixIndex::Time at;
  };
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<int>(random() % n); };
    PrefixIndex index;
    std::map<int, Known> known;  // by number of the hash
    std::uint64_t use = 0;
    std::int32_t next_page = 0;
    auto now = kStart;
    for (int step = 0; step < 2'000; ++step) {
      now += seconds(below(5));
      const int number = below(60);
      switch (below(4)) {
        case 0:
          if (known.contains(number)) break;
          known[number] = {next_page, below(4), ++use, now};
          index.add(hash_of(number), kAll, next_page++, keeper(known[number].peer), now);
          break;
        case 1:
          ASSERT_EQ(index.touch(hash_of(number), kAll, now), known.contains(number));
          if (known.contains(number)) {
            known[number].use = ++use;
            known[number].at = now;
          }
          break;
        case 2: {
          Pages expected;
          std::erase_if(known, [&](const auto& entry) {
            const bool old = now - entry.second.at >= kKeptFor;
            if (old) expected.push_back(entry.second.page);
            return old;
          });
          Pages gone = index.expire(now);
          std::ranges::sort(gone);
          std::ranges::sort(expected);
          ASSERT_EQ(gone, expected);
          break;
        }
        default: {
          const auto victim = index.victim();
          ASSERT_EQ(victim.has_value(), !known.empty());
          if (!victim) break;
          std::map<int, int> counts;
          for (const auto& [n, entry] : known) ++counts[entry.peer];
          const auto found = std::ranges::find_if(
              known, [&](const auto& entry) { return entry.second.page == *victim; });
          ASSERT_NE(found, known.end());
          for (const auto& [peer, count] : counts) {
            ASSERT_LE(count, counts[found->second.peer]);
          }
          for (const auto& [n, entry] : known) {
            ASSERT_TRUE(entry.peer != found->second.peer || entry.use >= found->second.use);
          }
          index.remove(*victim);
          known.erase(found);
        }
      }
      ASSERT_EQ(index.size(), known.size());
    }
  }
}

}  // namespace
}  // namespace shoal::node
