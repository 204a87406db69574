// SPDX-License-Identifier: Apache-2.0
#include "model/block.h"

#include <cmath>

#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/rotate_append.h"

namespace shoal::model {

void run_block(kernels::Executor& executor, const BlockSpec& spec, const BlockLayers& layers,
               const BlockStep& step, const kernels::KvLayout& layout) {
  using kernels::MatrixView;
  const std::int64_t rows = step.plan.padded_rows();
  const MatrixView x = step.workspace.x(rows);
  const MatrixView normed = step.workspace.normed(rows);
  const MatrixView q = step.workspace.q(rows);
  const MatrixView k = step.workspace.k(rows);
  const MatrixView v = step.workspace.v(rows);
  const kernels::Projection projections[] = {
      {&layers.q.weight(), q}, {&layers.k.weight(), k}, {&layers.v.weight(), v}};
  kernels::project(executor, x, projections, {layers.input_norm.view(), spec.norm_eps, normed});
  kernels::rotate_append(executor,
                         {.q = q,
                          .k = k,
                          .v = v,
                          .q_norm = layers.q_norm.view(),
                          .k_norm = layers.k_norm.view(),
                          .norm_eps = spec.norm_eps},
                         step.pages, layout, step.plan);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layout.head_dim)));
  kernels::attention(executor, q, spec.attention.heads, step.pages, layout, step.plan, scale,
                     spec.attention.window, q);
  kernels::linear(executor, q, layers.output.weight(), x, /*accumulate=*/true);

  const MatrixView gated = step.workspace.gated(rows);
  kernels::gate_up(executor, x, layers.gate.weight(), layers.up.weight(), gated,
                   {layers.mlp_norm.view(), spec.norm_eps, normed});
  kernels::linear(executor, gated, layers.down.weight(), x, /*accumulate=*/true);
}

}  // namespace shoal::model
