// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// Rotates each head of x [rows, heads * head_dim] in place by its row's position, in the
// rotate-half layout of Hugging Face weights: pair (i, i + head_dim/2), angle positions[r] *
// inverse_frequency[i], cos and sin times attention_factor. inverse_frequency [head_dim / 2]
// carries every scaling variant (default, linear, llama3, yarn): see model/rope.h. Angles, cos and
// sin are computed in double from the position, then rounded to f32.
void rope(Executor& executor, MatrixView x, std::int64_t head_dim,
          std::span<const std::int32_t> positions, std::span<const float> inverse_frequency,
          float attention_factor);

}  // namespace shoal::kernels
