// SPDX-License-Identifier: Apache-2.0
// The pages of a node of several devices: whatever each of them keeps, drops and grants by itself,
// a session stands at one position in all of them, finds its own values there, and is granted what
// it asks for by all or by none.
#include "node/device/span_pages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>

namespace shoal::node {
namespace {

constexpr std::int64_t kPage = model::kPagePositions;
constexpr PrefixIndex::Time kNow{};

SpanPages pages_with(const std::vector<std::int64_t>& stages, std::int64_t pages) {
  static kernels::Executor& executor = *kernels::Executor::cpu(1).release();
  std::vector<std::unique_ptr<model::KvPool>> pools;
  for (const std::int64_t blocks : stages) {
    pools.push_back(
        model::KvPool::create(executor, {blocks, 1, 4, kernels::KvDType::kF32}, pages * kPage)
            .value());
  }
  return SpanPages(std::move(pools));
}

// A text is its number; what a position of it holds depends on both. Its pages are known by that.
std::uint32_t value_of(std::uint32_t text, std::int64_t position) {
  return text * 1'000'003u + static_cast<std::uint32_t>(position);
}
std::vector<proto::PageHash> hashes_of(std::uint32_t text, std::int64_t positions) {
  std::vector<proto::PageHash> result(static_cast<std::size_t>(positions / kPage));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::uint32_t value = value_of(text, static_cast<std::int64_t>(i));
    std::memcpy(result[i].bytes.data(), &value, sizeof(value));
  }
  return result;
}

struct Reader {
  SpanLease lease;
  std::uint32_t text = 0;
  std::int64_t max_positions = 0;

  static std::byte* at(const model::KvLease& lease, std::int64_t position, std::int64_t block) {
    const model::KvPool& pool = *lease.pool();
    const std::int64_t unit = pool.shape().unit_bytes();
    const std::int64_t page = lease.pages()[static_cast<std::size_t>(position / kPage)] + block;
    return static_cast<std::byte*>(pool.pages().data) + page * unit +
           (position % kPage) * static_cast<std::int64_t>(sizeof(std::uint32_t));
  }
  template <class Visit>
  void each(std::int64_t from, std::int64_t to, const Visit& visit) {
    for (std::size_t place = 0; place < lease.stages(); ++place) {
      const model::KvLease& own = lease.at(place).lease;
      for (std::int64_t position = from; position < to; ++position) {
        for (std::int64_t block = 0; block < own.blocks(); ++block) {
          visit(at(own, position, block), value_of(text, position));
        }
      }
    }
  }
  void write(std::int64_t rows) {
    const std::int64_t start = lease.position();
    lease.prepare(start, rows);
    each(start, start + rows,
         [](std::byte* place, std::uint32_t value) { std::memcpy(place, &value, sizeof(value)); });
    lease.advance(rows);
    const auto hashes = hashes_of(text, lease.position());
    lease.know(0, hashes);
  }
  void expect_own_values() {
    for (std::size_t place = 0; place < lease.stages(); ++place) {
      ASSERT_EQ(lease.at(place).lease.position(), lease.position()) << "stage " << place;
    }
    each(0, lease.position(), [](std::byte* place, std::uint32_t value) {
      std::uint32_t there = 0;
      std::memcpy(&there, place, sizeof(there));
      ASSERT_EQ(there, value);
    });
  }
};

std::optional<Reader> open(SpanPages& pages, std::uint32_t text, std::int64_t positions,
                           PartOfSpan part) {
  auto lease = pages.lease(positions, part, hashes_of(text, positions), kNow);
  if (!lease) return std::nullopt;
  return Reader{*std::move(lease), text, positions};
}

TEST(SpanPages, APartOfTheSpanTouchesTheStagesThatItsBlocksAreIn) {
  SpanPages pages = pages_with({2, 3, 1}, 8);
  const auto stages = [&](PartOfSpan part) {
    std::vector<std::pair<std::size_t, std::int64_t>> result;
    auto reader = open(pages, 1, kPage, part);
    for (std::size_t i = 0; i < reader->lease.stages(); ++i) {
      result.emplace_back(reader->lease.at(i).stage, reader->lease.at(i).lease.blocks());
    }
    return result;
  };
  using Stages = std::vector<std::pair<std::size_t, std::int64_t>>;
  EXPECT_EQ(stages({0, 6}), (Stages{{0, 2}, {1, 3}, {2, 1}}));
  EXPECT_EQ(stages({1, 2}), (Stages{{0, 1}, {1, 1}}));
  EXPECT_EQ(stages({3, 1}), (Stages{{1, 1}}));
  EXPECT_EQ(stages({4, 2}), (Stages{{1, 1}, {2, 1}}));
  EXPECT_EQ(pages.whole(), (PartOfSpan{0, 6}));
  EXPECT_EQ(pages.total_positions({0, 6}), 8 * kPage);
  EXPECT_EQ(pages.total_positions({2, 1}), 3 * 8 * kPage);
}

TEST(SpanPages, WhatOneStageHasNoLongerIsReadAgainInAll) {
  SpanPages pages = pages_with({1, 1}, 6);
  Reader first = *open(pages, 1, 4 * kPage, {0, 2});
  first.write(4 * kPage);
  pages.end(std::move(first.lease), {}, kNow);
  EXPECT_EQ(pages.kept_pages(), 4);
  // Somebody wants nearly all of the second stage: three of the pages kept there go.
  Reader other = *open(pages, 2, 5 * kPage, {1, 1});
  pages.end(std::move(other.lease), {}, kNow);
  Reader second = *open(pages, 1, 4 * kPage, {0, 2});
  EXPECT_EQ(second.lease.position(), kPage);
  second.expect_own_values();
  second.write(3 * kPage);
  second.expect_own_values();
  pages.end(std::move(second.lease), {}, kNow);
  EXPECT_EQ(open(pages, 1, 4 * kPage, {0, 2})->lease.position(), 4 * kPage);
}

TEST(SpanPages, AllStagesGrantALeaseOrNoneDoes) {
  SpanPages pages = pages_with({2, 2}, 4);
  Reader first = *open(pages, 1, 2 * kPage, {0, 4});
  first.write(2 * kPage);
  pages.end(std::move(first.lease), {}, kNow);
  Reader narrow = *open(pages, 2, 3 * kPage, {2, 2});
  EXPECT_FALSE(open(pages, 3, 2 * kPage, {0, 4}).has_value());
  EXPECT_EQ(pages.free_positions({0, 2}), 4 * kPage) << "the first stage promised nothing";
  EXPECT_EQ(pages.kept_pages(), 2) << "and dropped nothing";
  Reader small = *open(pages, 3, kPage, {0, 4});
  EXPECT_FALSE(pages.grow(small.lease, 2 * kPage));
  EXPECT_EQ(pages.free_positions({0, 2}), 3 * kPage);
  pages.end(std::move(narrow.lease), {}, kNow);
  EXPECT_TRUE(pages.grow(small.lease, 2 * kPage));
  EXPECT_EQ(small.lease.promised_positions(), 2 * kPage);
}

TEST(SpanPages, WhateverIsMixedEverySessionStandsAtOnePlaceWithItsOwnValues) {
  int found = 0, refused = 0;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::int64_t n) {
      return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
    };
    std::vector<std::int64_t> stages(static_cast<std::size_t>(1 + below(3)));
    for (std::int64_t& blocks : stages) blocks = 1 + below(3);
    const std::int64_t blocks = std::accumulate(stages.begin(), stages.end(), std::int64_t{0});
    SpanPages pages = pages_with(stages, 3 + below(12));
    std::vector<Reader> readers;
    for (int step = 0; step < 300; ++step) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " step " << step);
      const std::int64_t what = below(8);
      if (what < 2 || readers.empty()) {
        const std::int64_t first = below(2) > 0 ? 0 : below(blocks);
        const PartOfSpan part{first, first == 0 ? blocks : 1 + below(blocks - first)};
        const std::int64_t positions = 1 + below(200);
        const bool fits = positions <= pages.free_positions(part);
        auto reader = open(pages, static_cast<std::uint32_t>(below(3)), positions, part);
        ASSERT_EQ(reader.has_value(), fits);
        refused += fits ? 0 : 1;
        if (!reader) continue;
        found += reader->lease.position() > 0 ? 1 : 0;
        readers.push_back(*std::move(reader));
      } else {
        Reader& reader = readers[static_cast<std::size_t>(below(std::ssize(readers)))];
        if (what < 5) {
          if (pages.grow(reader.lease, reader.max_positions)) {
            reader.write(below(reader.max_positions - reader.lease.position() + 1));
          }
        } else if (what == 5) {
          pages.keep(reader.lease, {}, kNow);
        } else if (what == 6) {
          reader.lease.shrink();
        } else {
          pages.end(std::move(reader.lease), {}, kNow);
          std::swap(reader, readers.back());
          readers.pop_back();
        }
      }
      for (Reader& each : readers) each.expect_own_values();
      if (HasFatalFailure()) return;
    }
    for (Reader& reader : readers) pages.end(std::move(reader.lease), {}, kNow);
    EXPECT_EQ(pages.free_positions(pages.whole()), pages.total_positions(pages.whole()));
    EXPECT_EQ(pages.pages_in_use(), 0);
    pages.expire(kNow + kKeptFor);
    EXPECT_EQ(pages.kept_pages(), 0);
  }
  EXPECT_GT(found, 100);
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace shoal::node
