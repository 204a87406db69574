// SPDX-License-Identifier: Apache-2.0
// Cuts the product into parts. Results do not depend on the cut: each output is reduced by one
// thread, in one order.
#include <algorithm>
#include <vector>

#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

// From this many rows on, converting weights once per tile pays for writing them to scratch.
constexpr std::int64_t kManyRows = 8;
// Parts begin at multiples of the widest register tile.
constexpr std::int64_t kOutStep = 8;

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

void few_rows(CpuExecutor& executor, const LinearPart& whole) {
  const std::int64_t rows = whole.row_end - whole.row_begin;
  const std::int64_t grain = round_up(grain_for(rows * whole.k), kOutStep);
  executor.parallel_for(whole.out_end, grain, [&](std::int64_t begin, std::int64_t end) {
    LinearPart part = whole;
    part.out_begin = begin;
    part.out_end = end;
    executor.kernels().linear_few(part);
  });
}

void many_rows(CpuExecutor& executor, const LinearPart& whole) {
  // Narrower blocks where the matrix is small, so that every thread gets some.
  const std::int64_t row_blocks = (whole.row_end + kBlockRows - 1) / kBlockRows;
  const std::int64_t per_thread =
      round_up(whole.out_end * row_blocks / (2 * executor.threads()) + 1, kOutStep);
  const std::int64_t outs = std::clamp<std::int64_t>(per_thread, kOutStep, kBlockOuts);
  const std::int64_t rows = round_up((whole.row_end + row_blocks - 1) / row_blocks, 12);
  const std::int64_t columns = (whole.out_end + outs - 1) / outs;
  const std::int64_t blocks = (whole.row_end + rows - 1) / rows;
  const std::int64_t grain = grain_for(std::min(rows, whole.row_end) * outs * whole.k);
  executor.parallel_for(blocks * columns, grain, [&](std::int64_t begin, std::int64_t end) {
    float* scratch = thread_scratch(kLinearScratchFloats);
    for (std::int64_t i = begin; i < end; ++i) {
      LinearPart part = whole;
      part.row_begin = i / columns * rows;
      part.row_end = std::min(part.row_begin + rows, whole.row_end);
      part.out_begin = i % columns * outs;
      part.out_end = std::min(part.out_begin + outs, whole.out_end);
      executor.kernels().linear_many(part, scratch);
    }
  });
}

}  // namespace

void linear(CpuExecutor& executor, ConstMatrixView x, WeightView weight, WeightView bias,
            MatrixView out, bool accumulate) {
  LinearPart whole;
  whole.x = x.data;
  whole.x_stride = x.stride;
  whole.weight = weight.data;
  whole.dtype = weight.dtype;
  whole.k = x.cols;
  whole.out = out.data;
  whole.out_stride = out.stride;
  whole.accumulate = accumulate;
  whole.row_end = x.rows;
  whole.out_end = out.cols;
  // Kept between calls: a decode step allocates nothing.
  thread_local std::vector<float> wide_bias;
  if (bias.present()) {
    if (bias.dtype == DType::kF32) {
      whole.bias = static_cast<const float*>(bias.data);
    } else {
      wide_bias.resize(static_cast<std::size_t>(bias.cols));
      executor.kernels().to_f32(bias.data, bias.dtype, bias.cols, wide_bias.data());
      whole.bias = wide_bias.data();
    }
  }
  if (x.rows < kManyRows || x.cols == 0) {
    few_rows(executor, whole);
  } else {
    many_rows(executor, whole);
  }
}

}  // namespace shoal::kernels::cpu
