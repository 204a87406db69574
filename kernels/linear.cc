// SPDX-License-Identifier: Apache-2.0
// The order of reduction, on the CPU for every instruction set, number of rows and number of
// threads:
//
//   partial[j] = 0 for j in [0, 16); for k = 0, 1, ..., K - 1 in ascending order:
//     partial[k mod 16] = fma(x[k], w[k], partial[k mod 16])       rounded once; w widened exactly
//     to f32
//   (where K is no multiple of 16, x and w are taken as +0 from K up to the next multiple)
//   fold: partial[j] += partial[j + 8] for j < 8, then by 4, by 2, by 1
//   value = partial[0]; value = value + bias[n]; out = value, or out + value
//
// Blocking over K keeps the 16 partial sums in memory between blocks and folds at the end, so it
// changes nothing. Norm and attention scores use the same partial sums and the same fold.
#include "kernels/linear.h"

#include "kernels/operator_check.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels {

void linear(Executor& executor, ConstMatrixView x, WeightView weight, WeightView bias,
            MatrixView out, bool accumulate) {
  check_view(x, "x");
  check_shape(out, x.rows, weight.rows, "out");
  check_weight(weight, out.cols, x.cols, "weight");
  if (bias.present()) check_weight(bias, 1, out.cols, "bias");
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::linear(as_cpu(executor), x, weight, bias, out, accumulate);
    case Device::kCuda:
      break;
  }
  refuse_device("linear");
}

}  // namespace shoal::kernels
