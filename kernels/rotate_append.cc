// SPDX-License-Identifier: Apache-2.0
#include "kernels/rotate_append.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {

void rotate_append(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                   const KvLayout& layout, const StepPlan& plan) {
  const std::int64_t head_dim = layout.head_dim;
  check_view(executor, rows.q, "q");
  CHECK(head_dim > 0 && layout.kv_heads >= 0 && rows.q.cols % head_dim == 0)
      << "head_dim " << head_dim << " of " << rows.q.cols << " columns, " << layout.kv_heads
      << " kv heads";
  CHECK(plan.half() == 0 || 2 * plan.half() == head_dim)
      << plan.half() << " frequencies for head_dim " << head_dim;
  check_plan(executor, plan, rows.q.rows);
  check_shape(executor, rows.k, rows.q.rows, layout.kv_heads * head_dim, "k");
  check_shape(executor, rows.v, rows.q.rows, rows.k.cols, "v");
  if (rows.q_norm.present()) check_weight(executor, rows.q_norm, 1, head_dim, "q_norm");
  if (rows.k_norm.present()) check_weight(executor, rows.k_norm, 1, head_dim, "k_norm");
  if (layout.kv_heads > 0) check_pages(executor, pages, layout, plan);
  executor.operators().rotate_append(executor, rows, pages, layout, plan);
}

}  // namespace shoal::kernels
