// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// out[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight, each row alone; weight [1, cols]. out
// may be x. Source: Zhang and Sennrich 2019; HF LlamaRMSNorm in float32. Also used per head (rows =
// rows * heads).
void rms_norm(Executor& executor, const ConstMatrixView& x, const WeightView& weight, float eps,
              const MatrixView& out);

}  // namespace shoal::kernels
