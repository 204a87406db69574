// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/executor.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// Rotates each head of x [rows, heads * head_dim] in place by its row's position, in the
// rotate-half layout of Hugging Face weights: pair (i, i + head_dim/2) by the plan's angle.
void rope(Executor& executor, const MatrixView& x, std::int64_t head_dim, const StepPlan& plan);

}  // namespace shoal::kernels
