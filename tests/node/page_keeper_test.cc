// SPDX-License-Identifier: Apache-2.0
// Pages kept for later sessions, against a plain model of what every session's positions hold:
// whatever is attached, kept, dropped, grown, shrunk and truncated, no session finds another's
// values in its pages, nobody writes what others see, every promise is kept and nothing leaks.
#include "node/device/page_keeper.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

namespace shoal::node {
namespace {

constexpr std::int64_t kPage = model::kPagePositions;
constexpr PrefixIndex::Time kNow{};

std::unique_ptr<model::KvPool> pool_with(std::int64_t blocks, std::int64_t pages,
                                         kernels::KvDType dtype = kernels::KvDType::kF32) {
  static kernels::Executor& executor = *kernels::Executor::cpu(1).release();
  return model::KvPool::create(executor, {blocks, 1, 4, dtype}, pages * kPage).value();
}
proto::PeerId owner(std::uint32_t id) {
  proto::PeerId result;
  result.bytes[0] = static_cast<std::uint8_t>(id);
  return result;
}

// A session's tokens are numbers, and what it writes at a position is a hash of all tokens so far:
// what a page of true KV depends on.
using Tokens = std::vector<std::uint32_t>;
std::uint32_t mixed(std::uint32_t state, std::uint32_t token) {
  return (state ^ token) * 2654435761u + 97u;
}
std::uint32_t value_at(const Tokens& tokens, std::size_t position) {
  std::uint32_t state = 1;
  for (std::size_t i = 0; i <= position; ++i) state = mixed(state, tokens[i]);
  return state;
}
std::vector<proto::PageHash> hashes_of(const Tokens& tokens) {
  std::vector<proto::PageHash> result;
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    state = mixed(state, tokens[i]);
    if ((i + 1) % static_cast<std::size_t>(kPage) != 0) continue;
    proto::PageHash hash;
    std::memcpy(hash.bytes.data(), &state, sizeof(state));
    result.push_back(hash);
  }
  return result;
}

// A session that writes its values into its pages: one value for each position and block.
struct Writer {
  model::KvLease lease;
  KnownPages known;
  Tokens tokens;
  std::int64_t max_positions = 0;
  std::uint32_t peer = 0;

  std::byte* at(std::int64_t position, std::int64_t block) const {
    const model::KvPool& pool = *lease.pool();
    const std::size_t unit = pool.shape().page_bytes() / pool.shape().blocks;
    const std::int64_t page = lease.pages()[position / kPage] + block;
    return static_cast<std::byte*>(pool.pages().data) + page * unit +
           (position % kPage) * sizeof(std::uint32_t);
  }
  void run(std::int64_t start, const Tokens& next) {
    known.truncate(start);
    lease.prepare(start, std::ssize(next));
    tokens.resize(start);
    for (const std::uint32_t token : next) {
      tokens.push_back(token);
      const std::uint32_t value = value_at(tokens, tokens.size() - 1);
      for (std::int64_t block = 0; block < lease.blocks(); ++block) {
        std::memcpy(at(std::ssize(tokens) - 1, block), &value, sizeof(value));
      }
    }
    lease.advance(std::ssize(next));
  }
  void expect_own_values() const {
    ASSERT_EQ(lease.position(), std::ssize(tokens));
    std::uint32_t value = 1;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      value = mixed(value, tokens[i]);
      for (std::int64_t block = 0; block < lease.blocks(); ++block) {
        std::uint32_t there = 0;
        std::memcpy(&there, at(static_cast<std::int64_t>(i), block), sizeof(there));
        ASSERT_EQ(there, value) << "position " << i << " block " << block;
      }
    }
  }
};

std::optional<Writer> open(PageKeeper& keeper, std::int64_t positions, PartOfSpan part,
                           const Tokens& prompt, std::uint32_t peer = 1) {
  const auto hashes = hashes_of(prompt);
  auto lease = keeper.lease(positions, part, hashes, kNow);
  if (!lease) return std::nullopt;
  Writer writer{std::move(*lease), {}, prompt, positions, peer};
  const auto found = static_cast<std::size_t>(writer.lease.position() / kPage);
  writer.known = {{hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(found)}, found};
  writer.tokens.resize(found * kPage);
  return writer;
}
void keep(PageKeeper& keeper, Writer& writer) {
  const auto all = hashes_of(writer.tokens);
  writer.known.hashes.insert(writer.known.hashes.end(),
                             all.begin() + std::ssize(writer.known.hashes), all.end());
  keeper.keep(writer.lease, writer.known, owner(writer.peer), kNow);
}
void end(PageKeeper& keeper, Writer& writer) {
  keeper.end(std::move(writer.lease), writer.known, owner(writer.peer), kNow);
}
Tokens text(std::uint32_t seed, std::size_t count) {
  Tokens result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = mixed(seed, static_cast<std::uint32_t>(i));
  return result;
}

class PageKeeperTest : public ::testing::TestWithParam<kernels::KvDType> {};

TEST_P(PageKeeperTest, ASessionBeginsBehindWhatIsKept) {
  PageKeeper keeper(pool_with(4, 16, GetParam()));
  const Tokens prompt = text(1, 100);
  {
    Writer first = *open(keeper, 128, {0, 4}, prompt);
    first.run(0, prompt);
    keep(keeper, first);
    EXPECT_EQ(keeper.pool().kept_pages(), 3);
    end(keeper, first);
  }
  EXPECT_EQ(keeper.pool().pages_in_use(), 0);
  EXPECT_EQ(keeper.free_positions(4), 16 * kPage) << "what is kept goes when room is asked for";
  Writer second = *open(keeper, 128, {0, 4}, prompt);
  EXPECT_EQ(second.lease.position(), 96);
  second.expect_own_values();
  Writer third = *open(keeper, 64, {0, 4}, prompt);
  EXPECT_EQ(third.lease.position(), 64) << "no more than it leases";
  EXPECT_FALSE(open(keeper, 65, {1, 3}, prompt)->lease.position() > 0) << "of other blocks";
  // The second goes on in the middle of a page that the third has too: each on its own.
  second.run(40, text(2, 50));
  third.run(63, text(3, 1));
  second.expect_own_values();
  third.expect_own_values();
  EXPECT_EQ(open(keeper, 128, {0, 4}, prompt)->lease.position(), 96) << "and it is kept on";
}

INSTANTIATE_TEST_SUITE_P(Types, PageKeeperTest,
                         ::testing::Values(kernels::KvDType::kF32, kernels::KvDType::kF16,
                                           kernels::KvDType::kBF16, kernels::KvDType::kI8));

TEST(PageKeeper, WhatIsKeptGoesForALeaseAndForNothingInVain) {
  PageKeeper keeper(pool_with(2, 8));
  const Tokens prompt = text(1, 4 * kPage);
  Writer first = *open(keeper, 4 * kPage, {0, 2}, prompt);
  first.run(0, prompt);
  keep(keeper, first);
  end(keeper, first);
  EXPECT_EQ(keeper.pool().kept_pages(), 4);
  EXPECT_FALSE(open(keeper, 8 * kPage + 1, {0, 2}, {}).has_value());
  EXPECT_EQ(keeper.pool().kept_pages(), 4) << "it was too much in any case";
  Writer large = *open(keeper, 6 * kPage, {0, 2}, {});
  EXPECT_EQ(keeper.pool().kept_pages(), 2);
  end(keeper, large);
  // All that there is, beginning with what is kept, of which the beginning stayed longest: dropping
  // that for it is harmless.
  Writer all = *open(keeper, 8 * kPage, {0, 2}, prompt);
  EXPECT_EQ(all.lease.position(), 2 * kPage);
  EXPECT_EQ(keeper.pool().kept_pages(), 0);
  all.expect_own_values();
  all.run(2 * kPage, text(5, 6 * kPage));
  all.expect_own_values();
}

TEST(PageKeeper, ASessionThatTookAllRoomKeepsItsPagesWhenItEnds) {
  PageKeeper keeper(pool_with(2, 4));
  const Tokens prompt = text(1, 4 * kPage);
  Writer writer = *open(keeper, 4 * kPage, {0, 2}, prompt);
  writer.run(0, prompt);
  keep(keeper, writer);
  EXPECT_EQ(keeper.pool().kept_pages(), 0) << "all is promised";
  end(keeper, writer);
  EXPECT_EQ(keeper.pool().kept_pages(), 4);
  EXPECT_EQ(open(keeper, 4 * kPage, {0, 2}, prompt)->lease.position(), 4 * kPage);
}

TEST(PageKeeper, OnePeersFloodDoesNotPushOutAllOfAnothers) {
  PageKeeper keeper(pool_with(2, 12));
  const Tokens mine = text(1, 4 * kPage);
  Writer first = *open(keeper, 4 * kPage, {0, 2}, mine, 1);
  first.run(0, mine);
  keep(keeper, first);
  end(keeper, first);
  for (std::uint32_t i = 0; i < 50; ++i) {
    const Tokens flood = text(100 + i, 2 * kPage);
    Writer other = *open(keeper, 2 * kPage, {0, 2}, flood, 2);
    other.run(0, flood);
    keep(keeper, other);
    end(keeper, other);
  }
  EXPECT_EQ(keeper.pool().kept_pages(), 12) << "whoever ends leaves his pages in his room";
  EXPECT_EQ(open(keeper, 4 * kPage, {0, 2}, mine, 1)->lease.position(), 4 * kPage);
}

TEST(PageKeeper, WhateverIsMixedNobodySeesWhatIsNotHis) {
  int found = 0, refused = 0, most_kept = 0;
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::int64_t n) {
      return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
    };
    const std::int64_t blocks = 1 + below(5), pages = 2 + below(14);
    PageKeeper keeper(pool_with(blocks, pages));
    std::vector<Writer> writers;
    const auto part_of = [&]() -> PartOfSpan {
      if (below(3) > 0) return {0, blocks};
      const std::int64_t first = below(blocks);
      return {first, 1 + below(blocks - first)};
    };
    for (int step = 0; step < 400; ++step) {
      const std::int64_t what = below(10);
      if (what < 2 || writers.empty()) {
        const PartOfSpan part = part_of();
        const Tokens prompt = text(static_cast<std::uint32_t>(below(3)), 32 * below(6) + below(20));
        const std::int64_t positions = 1 + below(250), free = keeper.free_positions(part.blocks);
        auto writer = open(keeper, positions, part, prompt, static_cast<std::uint32_t>(below(3)));
        ASSERT_EQ(writer.has_value(), positions <= free) << "seed " << seed << " step " << step;
        if (!writer) {
          ++refused;
          continue;
        }
        found += writer->lease.position() > 0 ? 1 : 0;
        // The first step may go on from anywhere at or below.
        const std::int64_t start =
            below(4) > 0 ? writer->lease.position() : below(writer->lease.position() + 1);
        Tokens rest(prompt.begin() + std::min<std::int64_t>(start, std::ssize(prompt)),
                    prompt.end());
        rest.resize(std::min<std::int64_t>(std::ssize(rest), positions - start));
        writer->run(start, rest);
        writers.push_back(std::move(*writer));
        continue;
      }
      Writer& writer = writers[static_cast<std::size_t>(below(std::ssize(writers)))];
      if (what < 5) {
        // As a step does: grows again if it was shrunk, or ends.
        if (keeper.grow(writer.lease, writer.max_positions)) {
          const std::int64_t start =
              below(3) > 0 ? writer.lease.position() : below(writer.lease.position() + 1);
          const std::int64_t rows = below(writer.max_positions - start + 1);
          writer.run(start, text(static_cast<std::uint32_t>(below(3)), rows));
        }
      } else if (what < 7) {
        keep(keeper, writer);
      } else if (what == 7) {
        writer.lease.shrink();
      } else {
        if (what == 8) keep(keeper, writer);
        end(keeper, writer);
        std::swap(writer, writers.back());
        writers.pop_back();
      }
      most_kept = std::max(most_kept, static_cast<int>(keeper.pool().kept_pages()));
      for (const Writer& each : writers) each.expect_own_values();
      if (HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
      for (std::int64_t r = 1; r <= blocks; ++r) ASSERT_GE(keeper.free_positions(r), 0);
    }
    // All that was promised, at once.
    for (Writer& writer : writers) {
      const std::int64_t rows = writer.lease.max_positions() - writer.lease.position();
      writer.run(writer.lease.position(), text(9, rows));
    }
    for (const Writer& each : writers) each.expect_own_values();
    for (Writer& writer : writers) end(keeper, writer);
    writers.clear();
    EXPECT_EQ(keeper.pool().pages_in_use(), 0);
    EXPECT_EQ(keeper.free_positions(blocks), keeper.pool().total_positions());
    keeper.expire(kNow + kKeptFor);
    EXPECT_EQ(keeper.pool().kept_pages(), 0);
    const auto all = keeper.lease(pages * kPage, {0, blocks}, {}, kNow);
    EXPECT_TRUE(all.has_value());
  }
  EXPECT_GT(found, 200);
  EXPECT_GT(refused, 20);
  EXPECT_GT(most_kept, 8);
}

}  // namespace
}  // namespace shoal::node
