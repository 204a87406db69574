// SPDX-License-Identifier: Apache-2.0
// How a GPU keeps weights as they are stored (f32, bf16, f16): by output; of an output, runs of 128
// inputs, the last one filled with zeros; of a run, 16 bytes for each of the 16 chains of the
// reduction (kernels/linear.cc), side by side, with its next inputs: all 8 where values are narrow,
// 4 of f32, whose other 4 come after those of all chains. So half a warp, a chain to a lane, reads
// 256 bytes at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace shoal::kernels::cuda {

inline constexpr std::int64_t kChains = 16;
inline constexpr std::int64_t kRunSteps = 8;
inline constexpr std::int64_t kRun = kChains * kRunSteps;
inline constexpr std::int64_t kPieceOfChain = 16;  // bytes

constexpr std::int64_t padded_inputs(std::int64_t cols) { return (cols + kRun - 1) / kRun * kRun; }
constexpr std::int64_t place_of_input(DType dtype, std::int64_t k) {
  const auto steps = kPieceOfChain / static_cast<std::int64_t>(dtype_bytes(dtype));
  const std::int64_t many = kChains * steps;
  return k / many * many + k % kChains * steps + k % many / kChains;
}
constexpr std::size_t stored_bytes(DType dtype, std::int64_t rows, std::int64_t cols) {
  return static_cast<std::size_t>(rows * padded_inputs(cols)) * dtype_bytes(dtype);
}

}  // namespace shoal::kernels::cuda
