// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {

void rms_norm(Executor& executor, const ConstMatrixView& x, const WeightView& weight, float eps,
              const MatrixView& out) {
  check_view(executor, x, "x");
  check_shape(executor, out, x.rows, x.cols, "out");
  check_weight(executor, weight, 1, x.cols, "weight");
  executor.operators().rms_norm(executor, x, weight, eps, out);
}

}  // namespace shoal::kernels
