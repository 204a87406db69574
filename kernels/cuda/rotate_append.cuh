// SPDX-License-Identifier: Apache-2.0
// All between projections and attention in one launch: kernels/rotate_append.h. A warp for each
// head of q, of the keys and of the values of each row; heads that are normed or rotated wait in
// the warp's own part of shared memory.
#pragma once

#include "kernels/cuda/kv_keep.cuh"
#include "kernels/cuda/norm.cuh"

namespace shoal::kernels::cuda {

struct RotateAppendRun {
  RotateAppend a;
  std::int32_t heads, kv_heads, head_dim;
  std::int32_t pitch;  // floats of shared memory for each warp
  std::int64_t tile_bytes;
};

// A head in shared memory, to be normed where it has a weight.
struct Head {
  const float* x;
  int head_dim;
  const void* weight;
  DType dtype;
  float inverse;
};
SHOAL_DEVICE Head head_of(const float* x, int head_dim, const void* weight, DType dtype,
                          float eps) {
  return {x, head_dim, weight, dtype, weight == nullptr ? 1.0f : inverse_rms(x, head_dim, eps)};
}
SHOAL_DEVICE float value_of(const Head& head, int d) {
  if (head.weight == nullptr) return head.x[d];
  return normed(head.x[d], head.inverse, widened(head.weight, head.dtype, d));
}

// Of one row; each value of `to`, which may be head.x, is made of those that its lane reads.
SHOAL_DEVICE void rotate(const Head& head, const StepTables& step, int row, float* to) {
  const int half = static_cast<int>(step.half);
  if (half == 0) {
    for (int d = lane(); d < head.head_dim; d += 32) to[d] = value_of(head, d);
    return;
  }
  const float* const cosines = step.cosines + static_cast<std::int64_t>(row) * half;
  const float* const sines = step.sines + static_cast<std::int64_t>(row) * half;
  for (int i = lane(); i < half; i += 32) {
    const float first = value_of(head, i), second = value_of(head, i + half);
    const float c = cosines[i], s = sines[i];
    to[i] = sub(mul(first, c), mul(second, s));
    to[i + half] = add(mul(second, c), mul(first, s));
  }
}

// The tile of a row's position, and the vector in it.
struct KeptPlace {
  char* tile;
  int at;
};
SHOAL_DEVICE KeptPlace kept_place(const RotateAppendRun& run, int row, int head, bool is_value) {
  const Kv& kv = run.a.kv;
  const StepTables& step = run.a.step;
  const int position = step.positions[row];
  const std::int64_t page = step.pages[step.page_begin[row] + position / kPage];
  const std::int64_t offset = is_value ? kv.value_offset_bytes : kv.key_offset_bytes;
  return {kv.pages + page * kv.stride_bytes + offset + head * run.tile_bytes, position % kPage};
}

inline constexpr int kRotateThreads = 128;

SHOAL_KERNEL void SHOAL_BOUNDS(kRotateThreads, 4) rotate_append_kernel(RotateAppendRun run) {
  Shared shared;
  float* const x = shared.take<float>(run.pitch * (kRotateThreads / 32)) + run.pitch * warp();
  const RotateAppend& a = run.a;
  const int of_row = run.heads + 2 * run.kv_heads, head_dim = run.head_dim;
  const int vector = block_x() * (kRotateThreads / 32) + warp();
  const int row = vector / of_row, place = vector % of_row;
  if (row >= a.step.header->rows) return;
  const bool is_query = place < run.heads, is_value = place >= run.heads + run.kv_heads;
  const int head = is_query ? place : (place - run.heads) % run.kv_heads;
  const std::int64_t column = static_cast<std::int64_t>(head) * head_dim;
  if (is_value) {
    const KeptPlace to = kept_place(run, row, head, true);
    return keep_vector(a.kv.dtype, a.values.data + row * a.values.stride + column, head_dim,
                       to.tile, to.at);
  }
  const float* const from =
      (is_query ? a.q.data + row * a.q.stride : a.keys.data + row * a.keys.stride) + column;
  for (int d = lane(); d < head_dim; d += 32) x[d] = from[d];
  warp_barrier();
  const Head read = head_of(x, head_dim, is_query ? a.q_norm : a.k_norm,
                            is_query ? a.q_norm_dtype : a.k_norm_dtype, a.norm_eps);
  if (is_query) return rotate(read, a.step, row, a.q.data + row * a.q.stride + column);
  warp_barrier();  // all have what the norm is made of
  rotate(read, a.step, row, x);
  warp_barrier();
  const KeptPlace to = kept_place(run, row, head, false);
  keep_vector(a.kv.dtype, x, head_dim, to.tile, to.at);
}

}  // namespace shoal::kernels::cuda
