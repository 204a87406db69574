// SPDX-License-Identifier: Apache-2.0
// The pool promises pages by lease and keeps every promise; pages come back when leases go.
#include "model/kv_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace shoal::model {
namespace {

constexpr KvShape kShape{.blocks = 3, .kv_heads = 2, .head_dim = 8};
constexpr KvShape kLarge{.blocks = 3, .kv_heads = 2, .head_dim = 64};
constexpr std::int64_t kPage = kPagePositions;

// A pool of so many pages.
std::unique_ptr<KvPool> pool_of(KvShape shape, std::int64_t pages) {
  static kernels::Executor& executor = *kernels::Executor::cpu(1).release();
  return KvPool::create(executor, shape, pages * kPage).value();
}
// Of f32 in a page.
std::int64_t values_of(const KvShape& shape) {
  return static_cast<std::int64_t>(shape.page_bytes() / sizeof(float));
}
float* memory_of(const KvPool& pool, std::int32_t page) {
  return static_cast<float*>(pool.pages().data) + page * pool.pages().stride_bytes / 4;
}
std::vector<float*> pages_of(const KvPool& pool, const KvLease& lease) {
  std::vector<float*> pages;
  for (const std::int32_t page : lease.pages()) pages.push_back(memory_of(pool, page));
  return pages;
}

TEST(KvShape, BlocksLieBesideEachOtherInAPage) {
  for (const auto& [dtype, vector_bytes] : {std::pair{kernels::KvDType::kF32, 32},
                                            {kernels::KvDType::kBF16, 16},
                                            {kernels::KvDType::kF16, 16},
                                            {kernels::KvDType::kI8, 8 + 4}}) {
    KvShape shape = kShape;
    shape.dtype = dtype;
    const std::int64_t half = 2 * kPage * vector_bytes;
    EXPECT_EQ(shape.page_bytes(), static_cast<std::size_t>(6 * half));
    for (std::int64_t block = 0; block < 3; ++block) {
      const kernels::KvLayout layout = shape.layout(block);
      EXPECT_EQ(layout.key_offset_bytes, 2 * block * half);
      EXPECT_EQ(layout.value_offset_bytes, (2 * block + 1) * half);
      EXPECT_EQ(layout.kv_heads, 2);
      EXPECT_EQ(layout.head_dim, 8);
    }
  }
}

TEST(KvPool, ALeaseShrinksToWhatItFilledAndGrowsWhileThereIsRoom) {
  const auto pool = pool_of(kShape, 8);
  std::optional<KvLease> lease = pool->lease(6 * kPage);
  ASSERT_TRUE(lease);
  lease->prepare(0, kPage + 1);
  lease->advance(kPage + 1);
  EXPECT_EQ(lease->shrink(), 4 * kPage);
  EXPECT_EQ(lease->promised_positions(), 2 * kPage);
  EXPECT_EQ(lease->shrink(), 0);
  EXPECT_EQ(pool->free_positions(), 6 * kPage);
  EXPECT_EQ(pool->pages_in_use(), 2);
  EXPECT_TRUE(lease->grow(3 * kPage));
  lease->prepare(kPage + 1, kPage);
  std::optional<KvLease> other = pool->lease(5 * kPage);
  ASSERT_TRUE(other);
  EXPECT_FALSE(lease->grow(3 * kPage + 1));
  EXPECT_TRUE(lease->grow(kPage)) << "no more than it has";
  EXPECT_EQ(lease->max_positions(), 3 * kPage);
  other.reset();
  EXPECT_TRUE(lease->grow(6 * kPage));
  lease.reset();
  EXPECT_EQ(pool->free_positions(), pool->total_positions());
}

TEST(KvPool, AdmitsOnlyWhatItCanKeep) {
  const auto pool = pool_of(kShape, 4);
  EXPECT_EQ(pool->total_positions(), 4 * kPage);
  std::optional<KvLease> first = pool->lease(kPage + 1);  // two pages
  ASSERT_TRUE(first);
  EXPECT_EQ(pool->free_positions(), 2 * kPage);
  EXPECT_FALSE(pool->lease(2 * kPage + 1));
  EXPECT_FALSE(pool->lease(0));
  EXPECT_FALSE(pool->lease(-1));
  std::optional<KvLease> second = pool->lease(2 * kPage);
  ASSERT_TRUE(second);
  EXPECT_EQ(pool->free_positions(), 0);
  EXPECT_FALSE(pool->lease(1));
  EXPECT_EQ(pool->pages_in_use(), 0);  // promised, not taken
  first->prepare(0, kPage + 1);
  second->prepare(0, 2 * kPage);
  EXPECT_EQ(pool->pages_in_use(), 4);
  first.reset();
  EXPECT_EQ(pool->pages_in_use(), 2);
  EXPECT_EQ(pool->free_positions(), 2 * kPage);
}

TEST(KvPool, PagesAreDistinctWritableAndReused) {
  const auto pool = pool_of(kShape, 5);
  std::set<float*> seen;
  for (int round = 0; round < 3; ++round) {
    std::optional<KvLease> lease = pool->lease(5 * kPage);
    ASSERT_TRUE(lease);
    lease->prepare(0, 5 * kPage);
    for (float* page : pages_of(*pool, *lease)) {
      seen.insert(page);
      for (std::int64_t i = 0; i < values_of(kShape); ++i) page[i] = 1.0f;
    }
  }
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(pool->pages_in_use(), 0);
}

// Of the kernel's view: how many of a page's own memory pages are there.
int resident(const float* page) {
  const auto unit = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(page) + unit - 1) / unit * unit;
  const auto end = (reinterpret_cast<std::uintptr_t>(page) + kLarge.page_bytes()) / unit * unit;
  std::vector<unsigned char> there((end - begin) / unit);
  EXPECT_EQ(mincore(reinterpret_cast<void*>(begin), end - begin, there.data()), 0);
  return static_cast<int>(std::ranges::count_if(there, [](unsigned char c) { return c & 1; }));
}

TEST(KvPool, GivesWrittenPagesBackToTheKernelAndKeepsThoseInUse) {
  const auto pool = pool_of(kLarge, 8);
  std::optional<KvLease> kept = pool->lease(2 * kPage);
  std::vector<float*> free;
  {
    std::optional<KvLease> ended = pool->lease(5 * kPage);
    kept->prepare(0, 2 * kPage);
    ended->prepare(0, 5 * kPage);
    free = pages_of(*pool, *ended);
    for (float* page : free) std::fill_n(page, values_of(kLarge), 1.0f);
    for (float* page : pages_of(*pool, *kept)) std::fill_n(page, values_of(kLarge), 2.0f);
  }
  for (const float* page : free) EXPECT_GT(resident(page), 0);
  EXPECT_EQ(pool->trim(kLarge.page_bytes(), 2 * kLarge.page_bytes()), 2 * kLarge.page_bytes());
  EXPECT_EQ(pool->trim(kLarge.page_bytes(), 1u << 30), 2 * kLarge.page_bytes());
  EXPECT_EQ(pool->trim(kLarge.page_bytes(), 1u << 30), 0u);  // the one that stays
  EXPECT_EQ(std::ranges::count_if(free, [](const float* page) { return resident(page) > 0; }), 1);
  for (const float* page : pages_of(*pool, *kept)) {
    EXPECT_TRUE(std::all_of(page, page + values_of(kLarge), [](float x) { return x == 2; }));
  }
  std::optional<KvLease> next = pool->lease(6 * kPage);  // takes them all again
  next->prepare(0, 6 * kPage);
  for (float* page : pages_of(*pool, *next)) std::fill_n(page, values_of(kLarge), 3.0f);
  next.reset();
  EXPECT_EQ(pool->trim(0, 1u << 30), 6 * kLarge.page_bytes());
}

TEST(KvLease, GrowsPageByPage) {
  const auto pool = pool_of(kShape, 4);
  std::optional<KvLease> lease = pool->lease(4 * kPage);
  for (std::int64_t position = 0; position < 4 * kPage; ++position) {
    lease->prepare(position, 1);
    EXPECT_EQ(pool->pages_in_use(), position / kPage + 1);
    lease->advance(1);
    EXPECT_EQ(lease->position(), position + 1);
  }
  EXPECT_EQ(lease->max_positions(), 4 * kPage);
}

TEST(KvLease, TruncationGivesPagesBackButKeepsThePromise) {
  const auto pool = pool_of(kShape, 4);
  std::optional<KvLease> lease = pool->lease(4 * kPage);
  lease->prepare(0, 4 * kPage);
  lease->advance(4 * kPage);
  const std::vector<std::int32_t> before(lease->pages().begin(), lease->pages().end());
  lease->prepare(kPage - 1, 2);
  EXPECT_EQ(lease->position(), kPage - 1);
  EXPECT_EQ(pool->pages_in_use(), 2);
  EXPECT_EQ(pool->free_positions(), 0);
  EXPECT_EQ(lease->pages()[0], before[0]);  // what is kept stays where it is
  EXPECT_EQ(lease->pages()[1], before[1]);
  lease->advance(2);
  lease->prepare(0, 0);
  EXPECT_EQ(pool->pages_in_use(), 0);
}

TEST(KvLease, MovingHandsOnThePagesOnce) {
  const auto pool = pool_of(kShape, 4);
  std::optional<KvLease> a = pool->lease(kPage), b = pool->lease(2 * kPage);
  a->prepare(0, 1);
  b->prepare(0, 2 * kPage);
  *a = std::move(*b);  // a's own page goes back
  EXPECT_EQ(pool->pages_in_use(), 2);
  EXPECT_EQ(pool->free_positions(), 2 * kPage);
  EXPECT_EQ(a->max_positions(), 2 * kPage);
  KvLease c(std::move(*a));
  a.reset();
  b.reset();
  EXPECT_EQ(pool->pages_in_use(), 2);
  EXPECT_EQ(c.pages().size(), 2u);
  c = KvLease();
  EXPECT_EQ(pool->pages_in_use(), 0);
  EXPECT_EQ(pool->free_positions(), 4 * kPage);
}

TEST(KvPool, MemoryIsCommittedOnlyWhenTouched) {
  const KvShape large{.blocks = 32, .kv_heads = 8, .head_dim = 128};  // 8 MiB a page
  const auto pool = pool_of(large, 20'000);                           // 160 GB of address space
  std::optional<KvLease> lease = pool->lease(1000);
  ASSERT_TRUE(lease);
  lease->prepare(0, 1);
  memory_of(*pool, lease->pages()[0])[0] = 1.0f;
  EXPECT_EQ(pool->pages_in_use(), 1);
}

TEST(KvLeaseDeathTest, OurOwnMistakesAreCaught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(kShape, 2);
        std::optional<KvLease> lease = pool->lease(kPage);
        lease->prepare(0, kPage + 1);
      },
      "CHECK");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(kShape, 2);
        std::optional<KvLease> lease = pool->lease(kPage);
        lease->prepare(1, 1);
      },
      "start 1 at position 0");
  EXPECT_DEATH(
      {
        const auto pool = pool_of(kShape, 2);
        std::optional<KvLease> lease = pool->lease(kPage);
        lease->advance(1);
      },
      "CHECK");
  EXPECT_DEATH(
      {
        std::optional<KvLease> lease;
        const auto pool = pool_of(kShape, 2);
        lease = pool->lease(kPage);
      },
      "outlives");
}

}  // namespace
}  // namespace shoal::model
