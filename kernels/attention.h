// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/executor.h"
#include "kernels/kv_dtype.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// The pages of a pool: page `id` begins id * stride_bytes after `data`. Negative ids are pages that
// nobody may look into any more.
struct KvPages {
  void* data = nullptr;
  KvDType dtype = KvDType::kF32;
  Device device = Device::kCpu;
  std::int64_t stride_bytes = 0;
};

// Where one block's keys and values lie inside every page, from the page's start: the tiles
// (kv_dtype.h) of the keys of each kv head in turn, and those of the values likewise.
struct KvLayout {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t key_offset_bytes = 0;
  std::int64_t value_offset_bytes = 0;
};

// Keeps keys and values [rows, kv_heads * head_dim] in their sessions' pages, as kv_dtype.h says
// for their type.
void kv_append(Executor& executor, const ConstMatrixView& keys, const ConstMatrixView& values,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan);

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
