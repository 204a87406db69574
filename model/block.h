// SPDX-License-Identifier: Apache-2.0
// The mathematics of a block, written once over the operators of kernels/: what its BlockSpec says,
// whatever the family. No state: weights and scratch come in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/attention.h"
#include "kernels/executor.h"
#include "model/block_spec.h"
#include "model/block_weights.h"
#include "model/config.h"
#include "model/rope.h"

namespace shoal::model {

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

  const std::int64_t hidden_;
  const BlockWidths widths_;
  std::int64_t capacity_ = 0;  // rows
  std::unique_ptr<float[]> memory_;
};

// What all blocks of a step have in common.
struct BlockStep {
  const RopeTable* rope = nullptr;
  std::span<const std::int32_t> positions;                // [rows]
  std::span<const kernels::AttentionSequence> sequences;  // cover the rows
};

// x [rows, hidden], in place. `scratch` has room for the rows.
void run_block(kernels::Executor& executor, const BlockSpec& spec, const BlockWeights& weights,
               const BlockStep& step, kernels::KvLayout layout, const BlockScratch& scratch,
               kernels::MatrixView x);

}  // namespace shoal::model
