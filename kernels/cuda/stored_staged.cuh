// SPDX-License-Identifier: Apache-2.0
// Products of one or two rows with stored weights, of rows that wait in shared memory
// (row_stage.cuh). The rest is stored_few.cuh's. One row is computed twice: 39 instructions for 512
// bytes of weights in place of 34, where memory allows 138, and half of the kernels.
#pragma once

#include "kernels/cuda/row_stage.cuh"
#include "kernels/cuda/stored_few.cuh"

namespace shoal::kernels::cuda {

// CTAs have so many threads, or half or a quarter: the more, the fewer norm a row.
inline constexpr int kMostStagedThreads = 256;

struct StagedRows {
  const ConstRows& x;
  const StageNorm& norm;

  SHOAL_DEVICE int cols() const { return static_cast<int>(x.cols); }
  SHOAL_DEVICE FewRows<kMostStagedRows> rows() const {
    Shared shared;
    const RowStage stage(shared, x, static_cast<int>(x.rows));
    stage.copy(x);
    return few_rows<kMostStagedRows>(stage.normed_rows<0>(norm), 0);
  }
};

// With that many threads three CTAs' registers are there.
struct StagedMultiply {
  Multiply a;
  StageNorm norm;
};
template <class Stored, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 3) multiply_staged_kernel(StagedMultiply run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  multiply_few<Stored, kMostStagedRows, kOutputs>(run.a, StagedRows{run.a.x, run.norm}, 0, group);
}

struct StagedGateUp {
  GateUp a;
  StageNorm norm;
};
template <class Stored, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 3) gate_up_staged_kernel(StagedGateUp run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  gate_up_few<Stored, kMostStagedRows, kOutputs>(run.a, StagedRows{run.a.x, run.norm}, 0, group);
}

}  // namespace shoal::kernels::cuda
