// SPDX-License-Identifier: Apache-2.0
// How a GPU keeps weights as they are stored (f32, bf16, f16): by output; of an output, runs of 128
// inputs; of a run, for each of the 16 chains of the reduction (kernels/linear.cc) its 8 next
// inputs, side by side: input k lies at (k / 128) * 128 + (k % 16) * 8 + k % 128 / 16. So a lane
// that has a chain reads 16 bytes of narrow values at once. The last run is filled with zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace shoal::kernels::cuda {

inline constexpr std::int64_t kChains = 16;
inline constexpr std::int64_t kRunSteps = 8;
inline constexpr std::int64_t kRun = kChains * kRunSteps;

constexpr std::int64_t padded_inputs(std::int64_t cols) { return (cols + kRun - 1) / kRun * kRun; }
constexpr std::int64_t place_of_input(std::int64_t k) {
  return k / kRun * kRun + k % kChains * kRunSteps + k % kRun / kChains;
}
constexpr std::size_t stored_bytes(DType dtype, std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(rows * padded_inputs(cols)) * dtype_bytes(dtype);
}

}  // namespace shoal::kernels::cuda
