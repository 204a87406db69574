// SPDX-License-Identifier: Apache-2.0
// Products of one or two rows with stored weights, of rows that wait in shared memory
// (row_stage.cuh). The rest is stored_few.cuh's.
#pragma once

#include "kernels/cuda/row_stage.cuh"
#include "kernels/cuda/stored_few.cuh"

namespace shoal::kernels::cuda {

// CTAs have so many threads, or half or a quarter: the more, the fewer norm a row.
inline constexpr int kMostStagedThreads = 256;

template <int kRows>
struct StagedRows {
  const ConstRows& x;  // [kRows, cols]
  const StageNorm& norm;

  SHOAL_DEVICE int cols() const { return static_cast<int>(x.cols); }
  SHOAL_DEVICE FewRows<kRows> rows() const {
    Shared shared;
    const RowStage stage(shared, x, kRows);
    stage.copy(x);
    return few_rows<kRows>(stage.normed_rows<0>(norm), 0);
  }
};

struct StagedMultiply {
  Multiply a;
  StageNorm norm;
};
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 3) multiply_staged_kernel(StagedMultiply run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  multiply_few<Stored, kRows, kOutputs>(run.a, StagedRows<kRows>{run.a.x, run.norm}, 0, group);
}

struct StagedGateUp {
  GateUp a;
  StageNorm norm;
};
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void SHOAL_BOUNDS(kMostStagedThreads, 3) gate_up_staged_kernel(StagedGateUp run) {
  const int group = block_x() * (threads() / kLanes) + thread() / kLanes;
  gate_up_few<Stored, kRows, kOutputs>(run.a, StagedRows<kRows>{run.a.x, run.norm}, 0, group);
}

}  // namespace shoal::kernels::cuda
