// SPDX-License-Identifier: Apache-2.0
// Executor: every index exactly once, in parts of whole grains, from any number of threads,
// forever.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu_executor.h"

namespace shoal::kernels {
namespace {

std::unique_ptr<CpuExecutor> executor_of(int threads) {
  return std::make_unique<CpuExecutor>(threads);
}

TEST(Executor, CoversEveryIndexOnceInWholeGrains) {
  for (const int threads : {1, 2, 3, 8}) {
    const auto executor = executor_of(threads);
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
  const auto executor = executor_of(3);
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
  const auto executor = executor_of(2);
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
  const auto executor = executor_of(4);
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
    const auto executor = executor_of(1 + i % 4);
    if (i % 2 == 0) executor->parallel_for(8, 1, [](std::int64_t, std::int64_t) {});
  }
  EXPECT_GE(executor_of(0)->threads(), 1);
}

// Each thread's scratch is its own, whole and aligned, in every part that it works on.
TEST(Executor, GivesEveryThreadItsOwnScratch) {
  const auto executor = executor_of(4);
  std::mutex mutex;
  std::map<float*, std::set<std::thread::id>> users;
  for (int job = 0; job < 200; ++job) {
    executor->parallel_for(64, 1, [&](std::int64_t begin, std::int64_t, float* scratch) {
      scratch[0] = static_cast<float>(begin);
      scratch[kThreadScratchFloats - 1] = static_cast<float>(begin);
      std::this_thread::yield();
      const std::lock_guard lock(mutex);
      EXPECT_EQ(scratch[0], static_cast<float>(begin));
      EXPECT_EQ(scratch[kThreadScratchFloats - 1], static_cast<float>(begin));
      users[scratch].insert(std::this_thread::get_id());
    });
  }
  for (const auto& [scratch, ids] : users) {
    EXPECT_EQ(ids.size(), 1u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch) % 64, 0u);
  }
}

TEST(Buffer, IsZeroAlignedAndGivenBackOnce) {
  const auto executor = Executor::cpu(1);
  std::optional<Buffer> buffer = executor->allocate(10'000);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->bytes(), 10'000u);
  EXPECT_EQ(buffer->device(), Device::kCpu);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0u);
  const std::vector<char> data(10'000, 'x');
  std::vector<char> back(10'000, 'y');
  executor->download(back.data(), buffer->data(), 10'000);
  executor->synchronize();
  EXPECT_EQ(back, std::vector<char>(10'000, '\0'));
  executor->upload(buffer->data(), data.data(), 10'000);
  Buffer moved = *std::move(buffer);
  EXPECT_EQ(buffer->data(), nullptr);
  Buffer other = executor->allocate(10'000).value();
  executor->copy(other.data(), moved.data(), 10'000);
  moved = std::move(other);
  executor->synchronize();
  executor->download(back.data(), moved.data(), 10'000);
  EXPECT_EQ(back, data);
  // What is discarded is lost as far as whole pages of the system's go, and nothing else is.
  auto* bytes = static_cast<char*>(moved.data());
  executor->discard(bytes + 1, bytes + 9'999);
  EXPECT_EQ(bytes[0], 'x');
  EXPECT_EQ(bytes[9'999], 'x');
  EXPECT_EQ(bytes[5'000], '\0');
  EXPECT_FALSE(executor->allocate(std::size_t{1} << 62));
}

}  // namespace
}  // namespace shoal::kernels
