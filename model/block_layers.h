// SPDX-License-Identifier: Apache-2.0
// The weights of one block as the executor reads them: the checkpoint's own where it reads what is
// stored, else what was packed for it. Owns what was packed; the checkpoint must outlive it.
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "kernels/linear_weight.h"
#include "model/weight_choice.h"

namespace shoal::model {

struct BlockWeights;

struct BlockLayers {
  kernels::WeightView input_norm, mlp_norm;  // [1, hidden]
  kernels::WeightView q_norm, k_norm;        // [1, head_dim], or absent
  kernels::PackedLinear q, k, v, output, gate, up, down;

  // RESOURCE_EXHAUSTED when the executor's memory is short.
  static absl::StatusOr<BlockLayers> pack(kernels::Executor& executor, const BlockWeights& weights,
                                          WeightChoice choice);
  std::size_t bytes() const;
};

}  // namespace shoal::model
