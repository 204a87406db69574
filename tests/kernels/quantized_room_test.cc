// SPDX-License-Identifier: Apache-2.0
// Rows that a GPU quantizes in one go lie in its scratch: what just fits is right, what does not is
// refused before anything is written.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cuda/context.h"
#include "kernels/linear.h"
#include "kernels/portable.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {
namespace {

// The most rows of the kernels for few, which do not go over them in several launches: 4 tiles of
// 8 rows, of 320 bytes for each group.
constexpr std::int64_t kRoomRows = 32;
constexpr std::int64_t kRoomGroups = static_cast<std::int64_t>(cuda::kQuantizedScratch) / (4 * 320);

bool is_gpu(const NamedExecutor& named) { return named.executor->device() == Device::kCuda; }

TEST(QuantizedRoom, WhatJustFitsIsRight) {
  if (sweeps_are_short()) GTEST_SKIP() << "100 MB of rows";
  constexpr std::int64_t kCols = kRoomGroups * kGroup;
  Random random(1);
  std::vector<float> data(static_cast<std::size_t>(kRoomRows * kCols));
  for (float& value : data) value = static_cast<float>(random.bits() & 0xffff) - 32768.0f;
  const Weights weight(random, DType::kBF16, 1, kCols);
  Executor& cpu = cpu_executor();
  const PackedLinear on_cpu = pack_linear(cpu, weight.view(), {}, WeightFormat::kQ4S).value();
  Input x(data, kRoomRows, kCols);
  Guarded expected(kRoomRows, 1);
  linear(cpu, x.view(cpu), on_cpu.weight(), expected.view(cpu));
  for (const NamedExecutor& named : all_executors()) {
    if (!is_gpu(named)) continue;
    Executor& gpu = *named.executor;
    const LinearWeight& packed = on_cpu.weight();
    const PackedLinear placed =
        place_packed(gpu, packed.values, packed.format, 1, kCols, {}).value();
    Guarded out(kRoomRows, 1);
    linear(gpu, x.view(gpu), placed.weight(), out.view(gpu));
    EXPECT_TRUE(bitwise_equal(expected.content(), out.content())) << named.name;
    break;  // the others differ in nothing that matters here
  }
}

TEST(QuantizedRoom, WhatDoesNotFitIsOurMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr std::int64_t kCols = (kRoomGroups + 1) * kGroup;
  for (const NamedExecutor& named : all_executors()) {
    if (!is_gpu(named)) continue;
    Executor& gpu = *named.executor;
    const Buffer memory = gpu.allocate(packed_bytes(WeightFormat::kQ8, 1, kCols)).value();
    const LinearWeight weight = [&] {
      LinearWeight w = portable_weight(memory.data(), WeightFormat::kQ8, 1, kCols, {});
      w.device = gpu.device();
      return w;
    }();
    // Nobody looks at the rows: they are all the same one.
    const Buffer row = gpu.allocate(static_cast<std::size_t>(kCols) * sizeof(float)).value();
    const ConstMatrixView x{row.data(), kRoomRows, kCols, kCols, DType::kF32, gpu.device()};
    Guarded out(kRoomRows, 1);
    EXPECT_DEATH(linear(gpu, x, weight, out.view(gpu)), "32 rows of [0-9]+ do not fit")
        << named.name;
    break;
  }
}

}  // namespace
}  // namespace shoal::kernels
