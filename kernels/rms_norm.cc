// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm.h"

#include "kernels/operator_check.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels {

void rms_norm(Executor& executor, ConstMatrixView x, WeightView weight, float eps, MatrixView out) {
  check_view(x, "x");
  check_shape(out, x.rows, x.cols, "out");
  check_weight(weight, 1, x.cols, "weight");
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::rms_norm(as_cpu(executor), x, weight, eps, out);
    case Device::kCuda:
      break;
  }
  refuse_device("rms_norm");
}

}  // namespace shoal::kernels
