// SPDX-License-Identifier: Apache-2.0
// Products of one or two rows with stored weights, in front of which there may be a norm: each CTA
// copies the rows to shared memory and norms them there, while its first weights are on their way.
// So a norm is no launch of its own where a launch weighs most. The rest is stored_few.cuh's.
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/stored_few.cuh"

namespace shoal::kernels::cuda {

// CTAs have so many threads, or half or a quarter: the more, the fewer norm a row.
inline constexpr int kMostStagedThreads = 256;
inline constexpr int kMostStagedRows = 2;
// So that three CTAs have room on every card.
inline constexpr std::int64_t kMostStagedBytes = 32 << 10;

struct StageNorm {
  const void* weight;  // null: rows stay as they are
  DType dtype;
  float eps;
};

// Rows begin at multiples of 16 bytes and are whole runs of them; then what each is multiplied by.
constexpr std::int64_t staged_bytes(const ConstRows& x) {
  return x.rows * x.cols * static_cast<std::int64_t>(sizeof(float));
}
constexpr std::size_t staged_shared_bytes(const ConstRows& x) {
  return static_cast<std::size_t>(staged_bytes(x)) + 16;
}

template <int kRows>
struct StagedRows {
  const ConstRows& x;  // [kRows, cols]
  const StageNorm& norm;

  SHOAL_DEVICE int cols() const { return static_cast<int>(x.cols); }
  SHOAL_DEVICE FewRows<kRows> rows() const {
    Shared shared;
    float* const staged = shared.take<float>(kRows * cols());
    float* const inverses = shared.take<float>(kRows);
    SHOAL_DEVICE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      for (int i = thread() * 4; i < cols(); i += threads() * 4) {
        copy_async(staged + r * cols() + i, x.data + r * x.stride + i, true);
      }
    }
    commit_copies();
    wait_copies<0>();
    barrier();
    if (norm.weight != nullptr) {
      if (warp() < kRows) {
        const float inverse = inverse_rms(staged + warp() * cols(), cols(), norm.eps);
        if (lane() == 0) inverses[warp()] = inverse;
      }
      barrier();
      for (int i = thread(); i < cols(); i += threads()) {
        const float weight = widened(norm.weight, norm.dtype, i);
        SHOAL_DEVICE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          float& value = staged[r * cols() + i];
          value = normed(value, inverses[r], weight);
        }
      }
      barrier();
    }
    return few_rows<kRows>({staged, kRows, x.cols, x.cols}, 0);
  }
};

struct StagedMultiply {
  Multiply a;
  StageNorm norm;
};
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 2) multiply_staged_kernel(StagedMultiply run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  multiply_few<Stored, kRows, kOutputs>(run.a, StagedRows<kRows>{run.a.x, run.norm}, 0, group);
}

struct StagedGateUp {
  GateUp a;
  StageNorm norm;
};
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 2) gate_up_staged_kernel(StagedGateUp run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  gate_up_few<Stored, kRows, kOutputs>(run.a, StagedRows<kRows>{run.a.x, run.norm}, 0, group);
}

}  // namespace shoal::kernels::cuda
