// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {
void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out) {
  CHECK(heads > 0 && layout.kv_heads > 0 && heads % layout.kv_heads == 0 && window >= 0)
      << heads << " heads over " << layout.kv_heads << ", window " << window;
  CHECK(layout.head_dim <= kMostHeadDim)
      << "head_dim " << layout.head_dim << ", at most " << kMostHeadDim;
  check_shape(executor, q, q.rows, heads * layout.head_dim, "q");
  check_shape(executor, out, q.rows, q.cols, "out");
  check_plan(executor, plan, q.rows);
  check_pages(executor, pages, layout, plan);
  executor.operators().attention(executor, q, heads, pages, layout, plan, scale, window, out);
}

}  // namespace shoal::kernels
