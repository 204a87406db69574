// SPDX-License-Identifier: Apache-2.0
// Sessions of a part of the span take the pages of its blocks only, and the pool's promise stays
// exact whatever lengths are mixed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/kv_pool.h"

namespace shoal::model {
namespace {

constexpr std::int64_t kPage = kPagePositions;

std::unique_ptr<KvPool> pool_of(std::int64_t blocks, std::int64_t pages,
                                kernels::KvDType dtype = kernels::KvDType::kF32) {
  static kernels::Executor& executor = *kernels::Executor::cpu(1).release();
  return KvPool::create(executor, {blocks, 2, 8, dtype}, pages * kPage).value();
}

TEST(KvPart, ASessionOfFewBlocksLeasesWhatItUses) {
  const auto pool = pool_of(32, 2);  // two pages of all blocks
  std::vector<KvLease> leases;
  for (int i = 0; i < 32; ++i) leases.push_back(pool->lease(kPage, 4, 6).value());
  EXPECT_FALSE(pool->lease(1, 4, 6));
  EXPECT_FALSE(pool->lease(1));
  EXPECT_EQ(pool->free_positions(), 0);
  for (KvLease& lease : leases) lease.prepare(0, kPage);
  EXPECT_EQ(pool->pages_in_use(), 2);
  // Half of them gone: their room is for others of this length until a page is whole again.
  leases.resize(16);
  EXPECT_EQ(pool->free_positions(2), 16 * kPage);
  leases.clear();
  EXPECT_EQ(pool->free_positions(), 2 * kPage);
  EXPECT_EQ(pool->pages_in_use(), 0);
}

TEST(KvPart, LengthsThatDoNotDivideTheSpanLoseTheRestOfAPage) {
  const auto pool = pool_of(8, 3);
  EXPECT_EQ(pool->free_positions(3), 6 * kPage);
  EXPECT_EQ(pool->free_positions(5), 3 * kPage);
  EXPECT_EQ(pool->free_positions(8), 3 * kPage);
  const KvLease lease = pool->lease(3 * kPage, 0, 3).value();  // one page and a half
  EXPECT_EQ(pool->free_positions(3), 3 * kPage);
  EXPECT_EQ(pool->free_positions(), kPage);
}

TEST(KvPart, NarrowPagesAreSmaller) {
  KvShape shape{4, 2, 8};
  const std::size_t wide = shape.page_bytes();
  EXPECT_EQ(wide, static_cast<std::size_t>(4 * 2 * 2 * kPage * 8 * 4));
  shape.dtype = kernels::KvDType::kF16;
  EXPECT_EQ(2 * shape.page_bytes(), wide);
  shape.dtype = kernels::KvDType::kI8;  // 8 bytes and a scale of 4, where f32 has 32
  EXPECT_EQ(32 * shape.page_bytes(), 12 * wide);
  for (const kernels::KvDType dtype : kernels::kKvDTypes) {
    const auto pool = pool_of(4, 1, dtype);
    shape.dtype = dtype;
    EXPECT_EQ(pool->pages().dtype, dtype);
    EXPECT_EQ(static_cast<std::size_t>(4 * pool->pages().stride_bytes), shape.page_bytes());
    EXPECT_EQ(kv_dtype_named(kernels::kv_dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(kv_dtype_named("f64"), std::nullopt);
  EXPECT_EQ(kv_dtype_named(""), std::nullopt);
}

TEST(KvPart, APageLivesAsLongAsSomebodyRefersToIt) {
  const auto pool = pool_of(4, 2);
  std::int32_t page = 0;
  {
    KvLease lease = pool->lease(kPage).value();
    lease.prepare(0, kPage);
    page = lease.pages()[0];
    EXPECT_TRUE(pool->keep(page));
    EXPECT_EQ(pool->free_positions(), kPage) << "the lease's is no longer free, the kept one is";
    EXPECT_FALSE(pool->lease(kPage)) << "not while it is kept";
  }
  EXPECT_EQ(pool->pages_in_use(), 0);
  EXPECT_EQ(pool->kept_pages(), 1);
  EXPECT_EQ(pool->free_positions(), 2 * kPage);
  KvLease other = pool->lease(kPage).value();
  other.prepare(0, 1);
  EXPECT_NE(other.pages()[0], page);
  EXPECT_FALSE(pool->lease(kPage));
  pool->drop(page);
  EXPECT_EQ(pool->kept_pages(), 0);
  EXPECT_EQ(pool->free_positions(), kPage);
  EXPECT_EQ(pool->pages_in_use(), 1);
  EXPECT_TRUE(pool->lease(kPage));
}

// One page of three blocks kept of two that share a page of all blocks: what is promised beside it
// is what the arithmetic says.
TEST(KvPart, KeptPagesOfAPartArePromisedInTheirLength) {
  const auto pool = pool_of(6, 2);
  std::int32_t page = 0;
  {
    KvLease lease = pool->lease(kPage, 0, 3).value();
    lease.prepare(0, kPage);
    page = lease.pages()[0];
    pool->end(std::move(lease), std::vector{page});
  }
  EXPECT_EQ(pool->kept_pages(), 1);
  EXPECT_FALSE(pool->lease(2 * kPage));
  EXPECT_FALSE(pool->lease(4 * kPage, 0, 3));
  EXPECT_TRUE(pool->lease(3 * kPage, 3, 6));
  EXPECT_TRUE(pool->lease(kPage));
  EXPECT_EQ(pool->free_positions(3), 4 * kPage);
  const KvLease again = pool->attach(0, 3, std::vector{page});
  EXPECT_EQ(again.position(), kPage);
  EXPECT_EQ(pool->pages_in_use(), 1);
  pool->drop(page);  // the lease still has it
  EXPECT_EQ(pool->pages_in_use(), 1);
  EXPECT_EQ(pool->kept_pages(), 0);
}

TEST(KvPart, WhoWritesASharedPageWritesHisOwn) {
  for (const auto dtype : {kernels::KvDType::kF32, kernels::KvDType::kF16, kernels::KvDType::kI8}) {
    const auto pool = pool_of(4, 4, dtype);
    const std::size_t bytes = pool->shape().page_bytes();
    const auto content = [&](std::int32_t page) {
      return std::span(static_cast<unsigned char*>(pool->pages().data) + page / 4 * bytes, bytes);
    };
    KvLease lease = pool->lease(2 * kPage).value();
    lease.prepare(0, 2 * kPage);
    lease.advance(2 * kPage);
    const std::int32_t first = lease.pages()[0], second = lease.pages()[1];
    std::ranges::fill(content(first), 1);
    std::ranges::fill(content(second), 2);
    ASSERT_TRUE(pool->keep(first));
    ASSERT_TRUE(pool->keep(second));
    lease.prepare(kPage + 5, 3);
    EXPECT_EQ(lease.pages()[0], first) << "it is read only";
    EXPECT_NE(lease.pages()[1], second);
    EXPECT_TRUE(std::ranges::equal(content(lease.pages()[1]), content(second)));
    lease.advance(3);
    std::ranges::fill(content(lease.pages()[1]), 3);
    EXPECT_EQ(content(second)[0], 2);
    lease.prepare(0, 1);  // from the beginning: nothing is worth a copy
    EXPECT_NE(lease.pages()[0], first);
    EXPECT_EQ(lease.pages().size(), 1u);
    EXPECT_EQ(content(first)[0], 1);
    pool->drop(first);
    pool->drop(second);
    EXPECT_EQ(pool->pages_in_use(), 1);
  }
}

TEST(KvPartDeathTest, SharedAndFreePagesAreGuarded) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(4, 2);
        KvLease lease = pool->lease(kPage).value();
        lease.prepare(0, 3);
        pool->keep(lease.pages()[0]);
        pool->keep(lease.pages()[0]);
      },
      "CHECK");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(4, 2);
        pool->drop(0);
      },
      "is not kept");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(4, 2);
        KvLease lease = pool->attach(0, 4, std::vector{0});
      },
      "CHECK");
}

// Whatever comes: what is admitted can be taken, no two leases have a unit in common, and in the
// end all is free.
TEST(KvPart, EveryPromiseIsKeptWhateverIsMixed) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<std::int64_t>(random() % n); };
    const std::int64_t blocks = 1 + below(9), pages = 1 + below(12);
    const auto pool = pool_of(blocks, pages);
    std::vector<KvLease> leases;
    int admitted = 0, refused = 0;
    for (int step = 0; step < 1500; ++step) {
      const std::int64_t what = below(10);
      if (what < 3 || leases.empty()) {
        const std::int64_t first = below(static_cast<std::uint32_t>(blocks));
        const std::int64_t last = first + 1 + below(static_cast<std::uint32_t>(blocks - first));
        const std::int64_t wanted = 1 + below(200), free = pool->free_positions(last - first);
        std::optional<KvLease> lease = pool->lease(wanted, first, last);
        ASSERT_EQ(lease.has_value(), wanted <= free) << "seed " << seed << " step " << step;
        (lease ? admitted : refused)++;
        if (lease) leases.push_back(*std::move(lease));
        continue;
      }
      const auto i = static_cast<std::size_t>(below(static_cast<std::uint32_t>(leases.size())));
      KvLease& lease = leases[i];
      if (what < 7) {  // to any length, from any position before
        const std::int64_t start = below(static_cast<std::uint32_t>(lease.position() + 1));
        const std::int64_t room = lease.max_positions() - start;
        const std::int64_t rows = below(static_cast<std::uint32_t>(room + 1));
        lease.prepare(start, rows);
        lease.advance(rows);
      } else if (what == 7) {
        lease.shrink();
      } else if (what == 8) {
        lease.grow(lease.max_positions() + below(100));
      } else {
        std::swap(lease, leases.back());
        leases.pop_back();
      }
      if (step % 10 != 0) continue;
      std::map<std::int64_t, std::size_t> owners;  // of units
      for (std::size_t l = 0; l < leases.size(); ++l) {
        for (const std::int32_t page : leases[l].pages()) {
          ASSERT_EQ(page / blocks, (page + leases[l].blocks() - 1) / blocks)
              << "over a page's edge";
          for (std::int64_t unit = page; unit < page + leases[l].blocks(); ++unit) {
            ASSERT_TRUE(owners.emplace(unit, l).second) << "seed " << seed << " unit " << unit;
          }
        }
      }
      for (std::int64_t r = 1; r <= blocks; ++r) ASSERT_GE(pool->free_positions(r), 0);
    }
    // All that was promised, at once.
    for (KvLease& lease : leases) {
      lease.prepare(lease.position(), lease.max_positions() - lease.position());
    }
    EXPECT_GT(admitted, 0);
    EXPECT_GT(refused, 0);
    leases.clear();
    EXPECT_EQ(pool->free_positions(), pool->total_positions());
    EXPECT_EQ(pool->pages_in_use(), 0);
  }
}

}  // namespace
}  // namespace shoal::model
