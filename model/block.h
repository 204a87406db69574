// SPDX-License-Identifier: Apache-2.0
// The mathematics of one block, written once over the operators of kernels/: pre-norm attention and
// gated MLP, both added to the residual stream. Source: transformers modeling_llama.py, and
// modeling_qwen2.py and modeling_qwen3.py for biases and q/k norm. No state: weights and scratch
// come in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/attention.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/rope.h"

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

// Intermediate values of a batch, in one piece of memory that only ever grows.
class BlockScratch {
 public:
  explicit BlockScratch(const ModelConfig& config);
  void reserve(std::int64_t rows);

  kernels::MatrixView normed(std::int64_t rows) const;  // [rows, hidden]
  kernels::MatrixView q(std::int64_t rows) const;       // [rows, heads * head_dim]
  kernels::MatrixView k(std::int64_t rows) const;       // [rows, kv_heads * head_dim]
  kernels::MatrixView v(std::int64_t rows) const;
  kernels::MatrixView gate(std::int64_t rows) const;  // [rows, intermediate]
  kernels::MatrixView up(std::int64_t rows) const;

 private:
  kernels::MatrixView part(std::int64_t column, std::int64_t cols, std::int64_t rows) const;

  std::int64_t hidden_, query_, key_, intermediate_;  // widths
  std::int64_t capacity_ = 0;                         // rows
  std::unique_ptr<float[]> memory_;
};

// What all blocks of a step have in common.
struct BlockStep {
  std::int64_t heads = 0;
  float rms_norm_eps = 0.0f;
  const RopeTable* rope = nullptr;
  std::span<const std::int32_t> positions;                // [rows]
  std::span<const kernels::AttentionSequence> sequences;  // cover the rows
};

// x [rows, hidden], in place. `scratch` has room for the rows.
void run_block(kernels::Executor& executor, const BlockWeights& weights, const BlockStep& step,
               kernels::KvLayout layout, const BlockScratch& scratch, kernels::MatrixView x);

}  // namespace shoal::model
