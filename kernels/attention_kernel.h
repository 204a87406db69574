// SPDX-License-Identifier: Apache-2.0
// Online softmax (Milakov and Gimelshein 2018) over the tiles of a page table, in splits of
// kSplitPositions positions that begin at multiples of it: each split by itself, then merged in
// ascending order, so that splits may be computed at the same time. Templates over a Vec16 (rule:
// vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/kv_kernel.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

// scores[0, 16) = q . keys[p], each reduced in the order of linear.cc.
template <class V>
SHOAL_INLINE V dot_16_keys(const float* q, const float* keys, std::int64_t head_dim) {
  constexpr int kDots = V::kDots;
  V sums[16];
  for (int first = 0; first < 16; first += kDots) {
    V acc[kDots];
    SHOAL_UNROLL
    for (int i = 0; i < kDots; ++i) acc[i] = V::zero();
    for_lanes<V>(head_dim, [&](std::int64_t d, int lanes) SHOAL_LAMBDA {
      const V query = load_lanes<V>(q + d, lanes);
      SHOAL_UNROLL
      for (int i = 0; i < kDots; ++i) {
        acc[i] = V::fma(query, load_lanes<V>(keys + (first + i) * head_dim + d, lanes), acc[i]);
      }
    });
    SHOAL_UNROLL
    for (int i = 0; i < kDots; ++i) sums[first + i] = acc[i];
  }
  return V::sum16(sums);
}

// values_sum[d] = values_sum[d] * correction + weights[begin..end) . values[., d], positions in
// ascending order.
template <class V, int C>
SHOAL_INLINE void add_value_chunks(const float* weights, int begin, int end, const float* values,
                                   std::int64_t head_dim, float correction, float* sum) {
  V acc[C];
  SHOAL_UNROLL
  for (int c = 0; c < C; ++c) acc[c] = V::mul(V::load(sum + c * 16), V::set1(correction));
  for (int p = begin; p < end; ++p) {
    const V weight = V::set1(weights[p]);
    SHOAL_UNROLL
    for (int c = 0; c < C; ++c) {
      acc[c] = V::fma(weight, V::load(values + p * head_dim + c * 16), acc[c]);
    }
  }
  SHOAL_UNROLL
  for (int c = 0; c < C; ++c) acc[c].store(sum + c * 16);
}
template <class V>
SHOAL_INLINE void add_values(const float* weights, int begin, int end, const float* values,
                             std::int64_t head_dim, float correction, float* sum) {
  constexpr int kChunks = V::kChunks;
  std::int64_t d = 0;
  for (; d + kChunks * 16 <= head_dim; d += kChunks * 16) {
    add_value_chunks<V, kChunks>(weights, begin, end, values + d, head_dim, correction, sum + d);
  }
  for (; d + 16 <= head_dim; d += 16) {
    add_value_chunks<V, 1>(weights, begin, end, values + d, head_dim, correction, sum + d);
  }
  if (d < head_dim) {
    const int lanes = static_cast<int>(head_dim - d);
    V acc = V::mul(V::load(sum + d), V::set1(correction));
    for (int p = begin; p < end; ++p) {
      acc = V::fma(V::set1(weights[p]), V::load_tail(values + p * head_dim + d, lanes), acc);
    }
    acc.store(sum + d);
  }
}

// The state of one row and head: [head_dim rounded up] weighted values, then maximum and sum.
template <class V>
SHOAL_INLINE void attend_tile(const float* q, const float* keys, const float* values,
                              std::int64_t head_dim, int begin, int end, float scale,
                              float* state) {
  float* tail = state + round_up_16(head_dim);
  const float minus_infinity = -__builtin_inff();
  V scores[2];
  for (int c = 0; c < 2; ++c) {
    const int from = begin - c * 16 < 0 ? 0 : begin - c * 16;
    const int to = end - c * 16 > 16 ? 16 : end - c * 16;
    // Keys outside [begin, end) may be anything: their scores are replaced, not multiplied by zero.
    scores[c] =
        from < to
            ? V::keep(V::mul(dot_16_keys<V>(q, keys + c * 16 * head_dim, head_dim), V::set1(scale)),
                      from, to, minus_infinity)
            : V::set1(minus_infinity);
  }
  const float tile_max = V::max_lane(V::max(scores[0], scores[1]));
  const float maximum = tile_max > tail[0] ? tile_max : tail[0];
  float weights[kTilePositions];
  const V first = exp<V>(V::sub(scores[0], V::set1(maximum)));
  const V second = exp<V>(V::sub(scores[1], V::set1(maximum)));
  first.store(weights);
  second.store(weights + 16);
  float correction[16];
  exp<V>(V::set1(tail[0] - maximum)).store(correction);
  tail[0] = maximum;
  tail[1] = tail[1] * correction[0] + V::sum(V::add(first, second));
  add_values<V>(weights, begin, end, values, head_dim, correction[0], state);
}

// One row reads what it has not read since the step before: it asks early for a tile.
SHOAL_INLINE void prefetch_tile(const char* tile, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(tile + at, 0, 2);
}

SHOAL_INLINE std::int64_t first_seen(const AttentionPart& part, std::int64_t position) {
  const std::int64_t first = part.window > 0 ? position - part.window + 1 : 0;
  return first < 0 ? 0 : first;
}
// Whether row r of the part sees anything of a split.
SHOAL_INLINE bool sees(const AttentionPart& part, std::int64_t r, std::int64_t split) {
  const std::int64_t position = part.first_position + r;
  return split * kSplitPositions <= position &&
         first_seen(part, position) < (split + 1) * kSplitPositions;
}

// Those that the part sees something of.
struct SplitRange {
  std::int64_t begin, end;
};
SHOAL_INLINE SplitRange splits_of(const AttentionPart& part) {
  return {first_seen(part, part.first_position) / kSplitPositions,
          (part.first_position + part.rows - 1) / kSplitPositions + 1};
}

// What all rows and heads of the part see of one split: states [rows, group]. tiles
// [attention_tile_floats].
template <class V>
void attend_split(const AttentionPart& part, std::int64_t split, float* states, float* tiles) {
  constexpr std::int64_t kTiles = kSplitPositions / kTilePositions;
  const std::int64_t padded = round_up_16(part.head_dim);
  const std::int64_t state_floats = attention_state_floats(part.head_dim);
  for (std::int64_t s = 0; s < part.rows * part.group; ++s) {
    float* state = states + s * state_floats;
    for (std::int64_t i = 0; i < state_floats; i += 16) V::zero().store(state + i);
    state[padded] = -__builtin_inff();
  }
  const std::int64_t last = part.first_position + part.rows - 1;
  const std::int64_t tile_bytes = kTilePositions * kv_vector_bytes(part.dtype, part.head_dim);
  std::int64_t page = first_seen(part, part.first_position) / kTilePositions;
  if (page < split * kTiles) page = split * kTiles;
  for (; page <= last / kTilePositions && page < (split + 1) * kTiles; ++page) {
    const char* const at = part.pages + part.table[page] * part.page_stride_bytes;
    if (part.rows == 1 && page < last / kTilePositions) {
      const char* const next = part.pages + part.table[page + 1] * part.page_stride_bytes;
      prefetch_tile(next + part.key_offset_bytes, tile_bytes);
      prefetch_tile(next + part.value_offset_bytes, tile_bytes);
    }
    // Once for all rows and heads of the part. Scores are computed of 16 keys at a time, and those
    // that nobody may see are replaced: what scratch still holds there does no harm.
    const std::int64_t left = last + 1 - page * kTilePositions;
    const std::int64_t filled = left < kTilePositions ? left : kTilePositions;
    const float* const keys =
        kv_vectors<V>(at + part.key_offset_bytes, part.dtype, filled, part.head_dim, tiles);
    const float* const values =
        kv_vectors<V>(at + part.value_offset_bytes, part.dtype, filled, part.head_dim,
                      tiles + kTilePositions * part.head_dim);
    for (std::int64_t r = 0; r < part.rows; ++r) {
      const std::int64_t position = part.first_position + r;
      const std::int64_t begin = first_seen(part, position) - page * kTilePositions;
      const std::int64_t end = position + 1 - page * kTilePositions;
      if (begin >= kTilePositions || end <= 0) continue;
      for (std::int64_t h = 0; h < part.group; ++h) {
        attend_tile<V>(
            part.q + r * part.q_stride + h * part.head_dim, keys, values, part.head_dim,
            begin < 0 ? 0 : static_cast<int>(begin),
            end > kTilePositions ? static_cast<int>(kTilePositions) : static_cast<int>(end),
            part.scale, states + (r * part.group + h) * state_floats);
      }
    }
  }
}

// The states of a split into those of the splits before it. A row that sees nothing of it is left
// as it is, bit for bit.
template <class V>
void merge_split(const AttentionPart& part, std::int64_t split, const float* states,
                 float* totals) {
  const std::int64_t padded = round_up_16(part.head_dim);
  const std::int64_t state_floats = attention_state_floats(part.head_dim);
  for (std::int64_t s = 0; s < part.rows * part.group; ++s) {
    if (!sees(part, s / part.group, split)) continue;
    const float* const state = states + s * state_floats;
    float* const total = totals + s * state_floats;
    if (split == 0 || !sees(part, s / part.group, split - 1)) {
      for (std::int64_t i = 0; i < state_floats; i += 16) V::load(state + i).store(total + i);
      continue;
    }
    const float maximum = state[padded] > total[padded] ? state[padded] : total[padded];
    float kept[16], added[16];
    exp<V>(V::set1(total[padded] - maximum)).store(kept);
    exp<V>(V::set1(state[padded] - maximum)).store(added);
    for (std::int64_t i = 0; i < padded; i += 16) {
      V::fma(V::load(state + i), V::set1(added[0]), V::mul(V::load(total + i), V::set1(kept[0])))
          .store(total + i);
    }
    total[padded] = maximum;
    total[padded + 1] = total[padded + 1] * kept[0] + state[padded + 1] * added[0];
  }
}

template <class V>
SHOAL_INLINE void write_attended(const AttentionPart& part, const float* totals) {
  const std::int64_t padded = round_up_16(part.head_dim);
  for (std::int64_t s = 0; s < part.rows * part.group; ++s) {
    const float* const state = totals + s * attention_state_floats(part.head_dim);
    float* const out = part.out + s / part.group * part.out_stride + s % part.group * part.head_dim;
    const V sum = V::set1(state[padded + 1]);
    for_lanes<V>(part.head_dim, [&](std::int64_t d, int lanes) SHOAL_LAMBDA {
      store_lanes<V>(V::div(V::load(state + d), sum), out + d, lanes);
    });
  }
}

// The states of all splits of the part into those of the first; and what goes out.
template <class V>
void merge_attention(const AttentionPart& part, float* states, std::int64_t stride) {
  const SplitRange splits = splits_of(part);
  for (std::int64_t split = splits.begin + 1; split < splits.end; ++split) {
    merge_split<V>(part, split, states + (split - splits.begin) * stride, states);
  }
  write_attended<V>(part, states);
}

template <class V>
void attention_part(const AttentionPart& part, float* scratch) {
  float* const totals = scratch + attention_tile_floats(part.head_dim);
  float* const states = totals + attention_states_floats(part.rows * part.group, part.head_dim);
  const SplitRange splits = splits_of(part);
  attend_split<V>(part, splits.begin, totals, scratch);
  for (std::int64_t split = splits.begin + 1; split < splits.end; ++split) {
    attend_split<V>(part, split, states, scratch);
    merge_split<V>(part, split, states, totals);
  }
  write_attended<V>(part, totals);
}

}  // namespace shoal::kernels
