// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// out[r, n] = bias[n] + sum over k of x[r, k] * weight[n, k]; weight [out.cols, x.cols] in f32,
// bf16 or f16, bias [1, out.cols] or absent. f32 arithmetic in one fixed order over k, the same for
// every number of rows, of threads and every instruction set (the order is written in linear.cc).
// out must not overlap x. With `accumulate`, out += instead of out = (the residual stream).
void linear(Executor& executor, ConstMatrixView x, WeightView weight, WeightView bias,
            MatrixView out, bool accumulate = false);

}  // namespace shoal::kernels
