// SPDX-License-Identifier: Apache-2.0
// Executor: every index exactly once, in parts of whole grains, from any number of threads,
// forever.
#include "kernels/executor.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace shoal::kernels {
namespace {

TEST(Executor, CoversEveryIndexOnceInWholeGrains) {
  for (const int threads : {1, 2, 3, 8}) {
    const auto executor = Executor::cpu(threads);
    ASSERT_EQ(executor->threads(), threads);
    for (const std::int64_t count : {0, 1, 2, 7, 64, 1000, 1001}) {
      for (const std::int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
        std::atomic<int> broken{0};
        executor->parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
          if (begin >= end || begin % grain != 0 || (end % grain != 0 && end != count)) ++broken;
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        EXPECT_EQ(broken, 0);
        for (const auto& times : seen) ASSERT_EQ(times, 1) << count << " by " << grain;
      }
    }
  }
}

TEST(Executor, CutsTheSamePartsEveryTime) {
  const auto executor = Executor::cpu(3);
  std::set<std::pair<std::int64_t, std::int64_t>> first;
  for (int run = 0; run < 50; ++run) {
    std::mutex mutex;
    std::set<std::pair<std::int64_t, std::int64_t>> parts;
    executor->parallel_for(1000, 16, [&](std::int64_t begin, std::int64_t end) {
      const std::lock_guard lock(mutex);
      parts.insert({begin, end});
    });
    if (run == 0) first = parts;
    ASSERT_EQ(parts, first);
  }
  EXPECT_GT(first.size(), 1u);
}

TEST(Executor, LetsOtherThreadsTakePart) {
  const auto executor = Executor::cpu(2);
  // Each part waits for the other: only two threads can finish this.
  std::atomic<int> arrived{0};
  std::mutex mutex;
  std::set<std::thread::id> ids;
  executor->parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2u);
}

// Late workers of one job must never touch the next: short jobs of changing size, back to back and
// after sleeps.
TEST(Executor, KeepsJobsApart) {
  const auto executor = Executor::cpu(4);
  std::int64_t total = 0, expected = 0;
  for (int job = 0; job < 20'000; ++job) {
    const std::int64_t count = 1 + job % 23;
    std::atomic<std::int64_t> sum{0};
    executor->parallel_for(count, 1 + job % 3, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) sum += i + 1;
    });
    total += sum;
    expected += count * (count + 1) / 2;
    ASSERT_EQ(total, expected) << "job " << job;
    if (job % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(Executor, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 200; ++i) {
    const auto executor = Executor::cpu(1 + i % 4);
    if (i % 2 == 0) executor->parallel_for(8, 1, [](std::int64_t, std::int64_t) {});
  }
  EXPECT_GE(Executor::cpu(0)->threads(), 1);
}

}  // namespace
}  // namespace shoal::kernels
