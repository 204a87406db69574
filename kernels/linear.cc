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
#include "kernels/operators.h"

namespace shoal::kernels {
namespace {

void check_norm(const Executor& executor, const ConstMatrixView& x, const InputNorm& norm) {
  if (!norm.weight.present()) return;
  check_weight(executor, norm.weight, 1, x.cols, "the norm");
  check_shape(executor, norm.room, x.rows, x.cols, "the norm's room");
}

}  // namespace

void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate) {
  check_view(executor, x, "x");
  check_shape(executor, out, x.rows, weight.rows, "out");
  check_linear(executor, weight, out.cols, x.cols, "weight");
  executor.operators().linear(executor, x, weight, out, accumulate);
}

void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
             const InputNorm& norm) {
  check_view(executor, x, "x");
  check_norm(executor, x, norm);
  for (const Projection& part : parts) {
    CHECK(part.weight != nullptr) << "a projection without weights";
    check_shape(executor, part.out, x.rows, part.weight->rows, "out");
    check_linear(executor, *part.weight, part.out.cols, x.cols, "weight");
  }
  executor.operators().project(executor, x, parts, norm);
}

void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out, const InputNorm& norm) {
  check_view(executor, x, "x");
  check_norm(executor, x, norm);
  CHECK(x.cols > 0) << "rows of nothing";
  check_shape(executor, out, x.rows, gate.rows, "out");
  check_linear(executor, gate, out.cols, x.cols, "gate");
  check_linear(executor, up, out.cols, x.cols, "up");
  executor.operators().gate_up(executor, x, gate, up, out, norm);
}

}  // namespace shoal::kernels
