// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/executor.h"
#include "kernels/linear_weight.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// out[r, n] = bias[n] + sum over k of x[r, k] * weight[n, k]; weight [out.cols, x.cols] with its
// bias, if it has one. f32 arithmetic in one fixed order over k, the same for every number of rows,
// of threads and every instruction set (the order is written in linear.cc; formats with a law of
// their own: portable.h, mma.h). out must not overlap x. With `accumulate`, out += instead of out =
// (the residual stream).
void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate = false);

// In front of a product: it is of rms_norm(x), as rms_norm.h says.
struct InputNorm {
  WeightView weight;  // [1, x.cols]; absent: the product is of x itself
  float eps = 0;
  MatrixView room;  // as large as x, which it must not overlap: what is left there says nothing
};

// Several layers of the same x, each as linear() computes it.
struct Projection {
  const LinearWeight* weight = nullptr;
  MatrixView out;
};
void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
             const InputNorm& norm = {});

// out = silu(linear(x, gate)) * linear(x, up), each step as linear() and silu_mul() compute it.
void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out, const InputNorm& norm = {});

}  // namespace shoal::kernels
