// SPDX-License-Identifier: Apache-2.0
// The mathematics of one block, written once over the operators of kernels/: pre-norm attention and
// gated MLP, both added to the residual stream. Source: transformers modeling_llama.py, and
// modeling_qwen2.py and modeling_qwen3.py for biases and q/k norm. No state: weights and scratch
// come in.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/attention.h"
#include "kernels/executor.h"
#include "kernels/step_plan.h"
#include "model/block_layers.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/workspace.h"

namespace shoal::model {

// Views into the checkpoint; what a model does not have is absent.
struct BlockWeights {
  kernels::WeightView input_norm;            // [1, hidden]
  kernels::WeightView q, q_bias, k, k_bias;  // [heads * head_dim, hidden], kv_heads for k and v
  kernels::WeightView v, v_bias, output, output_bias;
  kernels::WeightView q_norm, k_norm;                // [1, head_dim]
  kernels::WeightView mlp_norm;                      // [1, hidden]
  kernels::WeightView gate, gate_bias, up, up_bias;  // [intermediate, hidden]
  kernels::WeightView down, down_bias;               // [hidden, intermediate]
  std::int64_t window = 0;                           // sliding window, 0: none

  static absl::StatusOr<BlockWeights> load(const ModelConfig& config, const Checkpoint& checkpoint,
                                           std::int64_t block);
  std::size_t bytes() const;
};

// What all blocks of a step have in common.
struct BlockStep {
  std::int64_t heads = 0;
  float rms_norm_eps = 0.0f;
  const kernels::StepPlan& plan;
  const kernels::KvPages& pages;
  const Workspace& workspace;
};

// The rows of the workspace's x, in place. `layout`: where this block's keys and values lie.
void run_block(kernels::Executor& executor, const BlockLayers& layers, const BlockStep& step,
               const kernels::KvLayout& layout);

}  // namespace shoal::model
