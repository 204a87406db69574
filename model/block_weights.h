// SPDX-License-Identifier: Apache-2.0
// The weights of one block: views into the checkpoint, which must outlive them. What a block does
// not have is absent.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/tensor.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace shoal::model {

struct BlockWeights {
  kernels::WeightView input_norm;            // [1, hidden]
  kernels::WeightView q, q_bias, k, k_bias;  // [heads * head_dim, hidden], kv_heads for k and v
  kernels::WeightView v, v_bias, output, output_bias;
  kernels::WeightView q_norm, k_norm;                // [1, head_dim]
  kernels::WeightView mlp_norm;                      // [1, hidden]
  kernels::WeightView gate, gate_bias, up, up_bias;  // [intermediate, hidden]
  kernels::WeightView down, down_bias;               // [hidden, intermediate]

  // Takes what the block's spec lists; NOT_FOUND / INVALID_ARGUMENT name what does not fit.
  static absl::StatusOr<BlockWeights> load(const ModelConfig& config, const Checkpoint& checkpoint,
                                           std::int64_t block);
  std::size_t bytes() const;
};

}  // namespace shoal::model
