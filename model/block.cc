// SPDX-License-Identifier: Apache-2.0
#include "model/block.h"

#include <cmath>

#include "base/check.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

namespace shoal::model {
namespace {

using kernels::MatrixView;

// The heads of [rows, heads * head_dim] as rows of their own.
MatrixView as_heads(MatrixView x, std::int64_t head_dim) {
  CHECK(x.stride == x.cols && x.cols % head_dim == 0);
  x.rows *= x.cols / head_dim;
  x.cols = x.stride = head_dim;
  return x;
}

}  // namespace

void run_block(kernels::Executor& executor, const BlockSpec& spec, const BlockLayers& layers,
               const BlockStep& step, const kernels::KvLayout& layout) {
  const std::int64_t rows = step.plan.padded_rows();
  const MatrixView x = step.workspace.x(rows);
  const MatrixView normed = step.workspace.normed(rows);
  const MatrixView q = step.workspace.q(rows);
  const MatrixView k = step.workspace.k(rows);
  const MatrixView v = step.workspace.v(rows);
  kernels::rms_norm(executor, x, layers.input_norm.view(), spec.norm_eps, normed);
  const kernels::Projection projections[] = {
      {&layers.q.weight(), q}, {&layers.k.weight(), k}, {&layers.v.weight(), v}};
  kernels::project(executor, normed, projections);
  if (layers.q_norm.present()) {
    const MatrixView q_heads = as_heads(q, layout.head_dim);
    const MatrixView k_heads = as_heads(k, layout.head_dim);
    kernels::rms_norm(executor, q_heads, layers.q_norm.view(), spec.norm_eps, q_heads);
    kernels::rms_norm(executor, k_heads, layers.k_norm.view(), spec.norm_eps, k_heads);
  }
  kernels::rope(executor, q, layout.head_dim, step.plan);
  kernels::rope(executor, k, layout.head_dim, step.plan);
  kernels::kv_append(executor, k, v, step.pages, layout, step.plan);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layout.head_dim)));
  kernels::attention(executor, q, spec.attention.heads, step.pages, layout, step.plan, scale,
                     spec.attention.window, q);
  kernels::linear(executor, q, layers.output.weight(), x, /*accumulate=*/true);

  const MatrixView gated = step.workspace.gated(rows);
  kernels::rms_norm(executor, x, layers.mlp_norm.view(), spec.norm_eps, normed);
  kernels::gate_up(executor, normed, layers.gate.weight(), layers.up.weight(), gated);
  kernels::linear(executor, gated, layers.down.weight(), x, /*accumulate=*/true);
}

}  // namespace shoal::model
