// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// out[r, i] = silu(gate[r, i]) * up[r, i], silu(x) = x / (1 + exp(-x)). out may be gate or up.
void silu_mul(Executor& executor, const ConstMatrixView& gate, const ConstMatrixView& up,
              const MatrixView& out);

// out[r, :] = table[ids[r], :] as f32; ids are checked by the caller.
void embedding(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
               const MatrixView& out);

}  // namespace shoal::kernels
