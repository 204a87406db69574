// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// Positions of one KV page; also the tile in whose order attention reduces.
inline constexpr std::int64_t kPagePositions = 32;

// Where one block's keys and values lie inside every page: floats from the page's start. Within a
// page, keys are [kv_heads, kPagePositions, head_dim] at key_offset, values likewise at
// value_offset.
struct KvLayout {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t key_offset = 0;
  std::int64_t value_offset = 0;
};

// Rows [row_begin, row_begin + rows) of a batch belong to one session, at positions start_position
// + 0, 1, ...; pages [ceil((start_position + rows) / kPagePositions)] is its page table.
struct AttentionSequence {
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  std::int64_t start_position = 0;
  std::span<float* const> pages;
};

// Copies keys and values [rows, kv_heads * head_dim] into their sessions' pages.
void kv_append(Executor& executor, ConstMatrixView keys, ConstMatrixView values, KvLayout layout,
               std::span<const AttentionSequence> sequences);

// Causal attention with grouped heads over paged keys and values that already hold the batch's own
// rows: out[r, h] = softmax over p of (q[r, h] . key[p, h / group] * scale) times value[p, h /
// group], where p runs from max(0, position - window + 1) to position; window 0 means all. q, out
// [rows, heads * head_dim]; out may be q. Online softmax over tiles of kPagePositions positions
// aligned to pages, in ascending order: a row's result does not depend on which other rows are in
// the batch. Data beyond a row's position never has an effect, not even NaN.
void attention(Executor& executor, ConstMatrixView q, std::int64_t heads, KvLayout layout,
               std::span<const AttentionSequence> sequences, float scale, std::int64_t window,
               MatrixView out);

}  // namespace shoal::kernels
