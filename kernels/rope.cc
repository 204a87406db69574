// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {

void rope(Executor& executor, const MatrixView& x, std::int64_t head_dim, const StepPlan& plan) {
  check_view(executor, x, "x");
  CHECK(head_dim > 0 && head_dim % 2 == 0 && x.cols % head_dim == 0)
      << "head_dim " << head_dim << " of " << x.cols << " columns";
  CHECK(plan.half() == head_dim / 2) << plan.half() << " frequencies for head_dim " << head_dim;
  check_plan(executor, plan, x.rows);
  executor.operators().rope(executor, x, head_dim, plan);
}

}  // namespace shoal::kernels
