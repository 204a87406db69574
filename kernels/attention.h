// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/executor.h"
#include "kernels/kv_pages.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

inline constexpr std::int64_t kMostHeadDim = 1024;

// Causal attention with grouped heads over paged keys and values that already hold the step's own
// rows: out[r, h] = softmax over p of (q[r, h] . key[p, h / group] * scale) times value[p, h /
// group], where p runs from max(0, position - window + 1) to position; window 0 means all. q, out
// [rows, heads * head_dim]; out may be q. Narrow pages are read as kv_dtype.h says, then all is
// f32. In splits of 256 positions that begin at multiples of 256, online softmax over tiles of
// kPagePositions positions aligned to pages, in ascending order; then the splits of which the row
// sees something, in ascending order: of (m, l, v) so far and (m', l', v') of the next, with M =
// max(m, m'), a = exp(m - M), b = exp(m' - M), it is (M, l a + l' b, fma(v', b, v a)). So a row's
// result does not depend on which other rows are in the step, nor on who computes which split. Data
// beyond a row's position never has an effect, not even NaN.
void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out);

}  // namespace shoal::kernels
