// SPDX-License-Identifier: Apache-2.0
#include "model/block.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

namespace shoal::model {
namespace {

using kernels::MatrixView;

// The heads of [rows, heads * head_dim] as rows of their own.
MatrixView as_heads(MatrixView x, std::int64_t head_dim) {
  CHECK(x.stride == x.cols && x.cols % head_dim == 0);
  return {x.data, x.rows * (x.cols / head_dim), head_dim, head_dim};
}

}  // namespace

BlockScratch::BlockScratch(const ModelConfig& config)
    : hidden_(config.hidden), widths_(widths_of(config.block(0))) {}

void BlockScratch::reserve(std::int64_t rows) {
  if (rows <= capacity_) return;
  capacity_ = std::max(rows, 2 * capacity_);
  const std::int64_t width = hidden_ + widths_.query + 2 * widths_.key + 2 * widths_.mlp;
  memory_.reset();  // before the new one, so that both are never there together
  memory_.reset(new float[static_cast<std::size_t>(capacity_ * width)]);
}

MatrixView BlockScratch::part(std::int64_t column, std::int64_t cols, std::int64_t rows) const {
  CHECK(rows <= capacity_) << rows << " rows in a scratch of " << capacity_;
  return {memory_.get() + column * capacity_, rows, cols, cols};
}

MatrixView BlockScratch::normed(std::int64_t rows) const { return part(0, hidden_, rows); }
MatrixView BlockScratch::q(std::int64_t rows) const { return part(hidden_, widths_.query, rows); }
MatrixView BlockScratch::k(std::int64_t rows) const {
  return part(hidden_ + widths_.query, widths_.key, rows);
}
MatrixView BlockScratch::v(std::int64_t rows) const {
  return part(hidden_ + widths_.query + widths_.key, widths_.key, rows);
}
MatrixView BlockScratch::gate(std::int64_t rows) const {
  return part(hidden_ + widths_.query + 2 * widths_.key, widths_.mlp, rows);
}
MatrixView BlockScratch::up(std::int64_t rows) const {
  return part(hidden_ + widths_.query + 2 * widths_.key + widths_.mlp, widths_.mlp, rows);
}

void run_block(kernels::Executor& executor, const BlockSpec& spec, const BlockWeights& w,
               const BlockStep& step, kernels::KvLayout layout, const BlockScratch& scratch,
               MatrixView x) {
  const MatrixView normed = scratch.normed(x.rows);
  const MatrixView q = scratch.q(x.rows);
  const MatrixView k = scratch.k(x.rows);
  const MatrixView v = scratch.v(x.rows);
  kernels::rms_norm(executor, x, w.input_norm, spec.norm_eps, normed);
  kernels::linear(executor, normed, w.q, w.q_bias, q);
  kernels::linear(executor, normed, w.k, w.k_bias, k);
  kernels::linear(executor, normed, w.v, w.v_bias, v);
  if (w.q_norm.present()) {
    const MatrixView q_heads = as_heads(q, layout.head_dim);
    const MatrixView k_heads = as_heads(k, layout.head_dim);
    kernels::rms_norm(executor, q_heads, w.q_norm, spec.norm_eps, q_heads);
    kernels::rms_norm(executor, k_heads, w.k_norm, spec.norm_eps, k_heads);
  }
  for (const MatrixView& rotated : {q, k}) {
    kernels::rope(executor, rotated, layout.head_dim, step.positions, step.rope->inverse_frequency,
                  step.rope->attention_factor);
  }
  kernels::kv_append(executor, k, v, layout, step.sequences);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layout.head_dim)));
  kernels::attention(executor, q, spec.attention.heads, layout, step.sequences, scale,
                     spec.attention.window, q);
  kernels::linear(executor, q, w.output, w.output_bias, x, /*accumulate=*/true);

  const MatrixView gate = scratch.gate(x.rows);
  const MatrixView up = scratch.up(x.rows);
  kernels::rms_norm(executor, x, w.mlp_norm, spec.norm_eps, normed);
  kernels::linear(executor, normed, w.gate, w.gate_bias, gate);
  kernels::linear(executor, normed, w.up, w.up_bias, up);
  kernels::silu_mul(executor, gate, up, gate);
  kernels::linear(executor, gate, w.down, w.down_bias, x, /*accumulate=*/true);
}

}  // namespace shoal::model
