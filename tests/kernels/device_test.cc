// SPDX-License-Identifier: Apache-2.0
// What kernels/executor.h promises of memory and copies, of every device.
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/elementwise.h"
#include "kernels/executor.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kCount = 5'000;
constexpr std::size_t kBytes = kCount * sizeof(float);

std::vector<float> rising(float first) {
  std::vector<float> values(kCount);
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::vector<float> content(Executor& executor, const Buffer& buffer) {
  std::vector<float> values(kCount, -1.0f);
  executor.download(values.data(), buffer.data(), kBytes);
  executor.synchronize();
  return values;
}

MatrixView row_of(const Buffer& buffer) {
  return {buffer.data(), 1, kCount, kCount, DType::kF32, buffer.device()};
}

TEST(DeviceMemory, IsZeroAndAligned) {
  for (const auto& [name, executor] : all_executors()) {
    SCOPED_TRACE(name);
    for (int i = 0; i < 3; ++i) {  // also where others were before
      Buffer buffer = executor->allocate(kBytes).value();
      EXPECT_EQ(buffer.bytes(), kBytes);
      EXPECT_EQ(buffer.device(), executor->device());
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
      EXPECT_TRUE(bitwise_equal(std::vector<float>(kCount, 0.0f), content(*executor, buffer)));
      executor->upload(buffer.data(), rising(1).data(), kBytes);
    }
  }
}

TEST(DeviceMemory, ThatThereIsNotIsRefused) {
  for (const auto& [name, executor] : all_executors()) {
    EXPECT_FALSE(executor->allocate(std::size_t{1} << 62)) << name;
    EXPECT_EQ(executor->failure(), "") << name;
    EXPECT_TRUE(executor->allocate(0)) << name;
  }
}

// What is uploaded may be changed at once; what is downloaded counts after synchronize().
TEST(DeviceCopies, AreDoneInTheOrderOfTheCalls) {
  for (const auto& [name, executor] : all_executors()) {
    SCOPED_TRACE(name);
    Buffer a = executor->allocate(kBytes).value(), b = executor->allocate(kBytes).value();
    std::vector<float> values = rising(1), before(kCount), after(kCount);
    executor->upload(a.data(), values.data(), kBytes);
    values = rising(2);
    executor->copy(b.data(), a.data(), kBytes);
    executor->download(before.data(), a.data(), kBytes);
    executor->upload(a.data(), values.data(), kBytes);
    values.assign(kCount, 0.0f);
    executor->download(after.data(), a.data(), kBytes);
    executor->synchronize();
    EXPECT_TRUE(bitwise_equal(rising(1), before));
    EXPECT_TRUE(bitwise_equal(rising(2), after));
    EXPECT_TRUE(bitwise_equal(rising(1), content(*executor, b)));
  }
}

TEST(DeviceCopies, StandInOneOrderWithOperators) {
  for (const auto& [name, executor] : all_executors()) {
    Buffer gate = executor->allocate(kBytes).value(), up = executor->allocate(kBytes).value();
    const std::vector<float> ones(kCount, 1.0f), zeros(kCount, 0.0f);
    std::vector<float> first(kCount);
    for (int i = 0; i < 2; ++i) {
      executor->upload(up.data(), ones.data(), kBytes);
      executor->upload(gate.data(), ones.data(), kBytes);
      silu_mul(*executor, row_of(gate), row_of(up), row_of(up));
      executor->upload(gate.data(), zeros.data(), kBytes);
      if (i == 0) executor->download(first.data(), up.data(), kBytes);
    }
    EXPECT_TRUE(bitwise_equal(content(*executor, up), first)) << name;
    EXPECT_NEAR(first[0], 0.731059f, 1e-6f) << name;
    EXPECT_NEAR(first[kCount - 1], 0.731059f, 1e-6f) << name;
  }
}

// Part of a buffer, to a byte.
TEST(DeviceCopies, TouchNothingElse) {
  for (const auto& [name, executor] : all_executors()) {
    Buffer buffer = executor->allocate(64).value();
    const std::vector<char> host(64, 'x');
    executor->upload(static_cast<char*>(buffer.data()) + 3, host.data(), 7);
    executor->upload(buffer.data(), host.data(), 0);
    executor->copy(static_cast<char*>(buffer.data()) + 21,
                   static_cast<const char*>(buffer.data()) + 2, 3);
    std::vector<char> expected(64, '\0'), got(64, 'y');
    std::fill(expected.begin() + 3, expected.begin() + 10, 'x');
    std::fill(expected.begin() + 22, expected.begin() + 24, 'x');
    executor->download(got.data(), buffer.data(), 64);
    executor->synchronize();
    EXPECT_EQ(got, expected) << name;
  }
}

// Work that is under way keeps nothing from going, and the next owner of the memory gets zeros.
TEST(DeviceMemory, MayGoWhileWorkIsUnderWay) {
  for (const auto& [name, executor] : all_executors()) {
    for (int i = 0; i < 20; ++i) {
      Buffer buffer = executor->allocate(kBytes).value();
      executor->upload(buffer.data(), rising(1).data(), kBytes);
      silu_mul(*executor, row_of(buffer), row_of(buffer), row_of(buffer));
    }
    EXPECT_TRUE(bitwise_equal(std::vector<float>(kCount, 0.0f),
                              content(*executor, executor->allocate(kBytes).value())))
        << name;
  }
}

TEST(DeviceRows, ArePaddedToFewKinds) {
  for (const auto& [name, executor] : all_executors()) {
    std::int64_t before = 1;
    for (const std::int64_t rows : {1, 2, 3, 5, 17, 32, 33, 100, 1000}) {
      const std::int64_t padded = executor->padded_rows(rows);
      EXPECT_GE(padded, std::max(rows, before)) << name;
      EXPECT_EQ(executor->padded_rows(padded), padded) << name;
      EXPECT_LT(padded, 2 * rows + 1) << name;
      before = padded;
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
