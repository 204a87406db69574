// SPDX-License-Identifier: Apache-2.0
#include "model/block_spec.h"

namespace shoal::model {

BlockWidths widths_of(const BlockSpec& spec) {
  return {.query = spec.attention.heads * spec.attention.head_dim,
          .key = spec.attention.kv_heads * spec.attention.head_dim,
          .mlp = std::get<DenseMlp>(spec.mlp).intermediate};
}

const WeightSpec* find_weight(const BlockSpec& spec, BlockWeight role) {
  for (const WeightSpec& weight : spec.weights) {
    if (weight.role == role) return &weight;
  }
  return nullptr;
}

double attention_positions(const BlockSpec& spec) {
  std::int64_t linear = 0;
  for (const WeightSpec& weight : spec.weights) linear += weight.rows * weight.cols;
  // A position takes two: one with its key, one with its value.
  return static_cast<double>(linear) / (2.0 * static_cast<double>(widths_of(spec).query));
}

}  // namespace shoal::model
