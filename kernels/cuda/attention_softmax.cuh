// SPDX-License-Identifier: Apache-2.0
// From the scores of a split to weights: a thread has a tile of a query, and reduces it in the
// order of the CPU's lanes.
#pragma once

#include "kernels/cuda/attention_work.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kTilePitch = kPage + 4;  // floats: threads that read tiles side by side
inline constexpr int kScorePitch = kTiles * kTilePitch;

// What the threads of a CTA know of a query and of the split that they are at.
enum class Merge : std::int32_t { kUnseen, kFirst, kNext };
struct QueryState {
  float tile[kTiles];        // maximum of the scores, then sum of the weights
  float running[kTiles];     // maximum so far
  float correction[kTiles];  // factor of what was before
  float maximum, sum;        // of all splits so far
  float kept, added;         // factors of those before, and of this one
  std::int32_t begin, end;   // the positions that the query sees
  Merge merge;
  std::int32_t unused;
};

// The tiles of a split of which a query sees something: [begin, end).
SHOAL_DEVICE int tile_begin(const QueryState& state, int split) {
  const int from = state.begin - split * kSplit;
  return from < 0 ? 0 : from / kPage;
}
SHOAL_DEVICE int tile_end(const QueryState& state, int split) {
  const int end = state.end - split * kSplit;
  return end <= 0 ? 0 : end < kSplit ? (end + kPage - 1) / kPage : kTiles;
}

// v[i] of values i and i + 16.
template <class Both>
SHOAL_DEVICE void read_halves(const float* from, float (&v)[16], const Both& both) {
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 16; i += 4) {
    const float4 low = *reinterpret_cast<const float4*>(from + i);
    const float4 high = *reinterpret_cast<const float4*>(from + i + 16);
    v[i] = both(low.x, high.x);
    v[i + 1] = both(low.y, high.y);
    v[i + 2] = both(low.z, high.z);
    v[i + 3] = both(low.w, high.w);
  }
}
SHOAL_DEVICE float largest_of_tile(const float* scores) {
  float v[16];
  read_halves(scores, v, [](float a, float b) { return larger(a, b); });
  SHOAL_DEVICE_UNROLL
  for (int step = 8; step >= 1; step /= 2) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 8; ++i) {
      if (i < step) v[i] = larger(v[i], v[i + step]);
    }
  }
  return v[0];
}
SHOAL_DEVICE float sum_of_tile(const float* weights) {
  float v[16];
  read_halves(weights, v, [](float a, float b) { return add(a, b); });
  return fold_16(v);
}

// What a query knows of this split, its tiles' sums, to what it knows of those before. is_first: of
// those that are merged here.
SHOAL_DEVICE void add_split(QueryState& state, int split, bool is_first) {
  const int begin = tile_begin(state, split), end = tile_end(state, split);
  state.merge = Merge::kUnseen;
  if (begin >= end) return;
  float sum = 0.0f;
  for (int t = begin; t < end; ++t) sum = add(mul(sum, state.correction[t]), state.tile[t]);
  const float maximum = state.running[end - 1];
  if (is_first) {
    state.merge = Merge::kFirst;
    state.maximum = maximum;
    state.sum = sum;
    return;
  }
  const float both = larger(maximum, state.maximum);
  const float kept = exp(sub(state.maximum, both)), added = exp(sub(maximum, both));
  state.merge = Merge::kNext;
  state.maximum = both;
  state.sum = add(mul(state.sum, kept), mul(sum, added));
  state.kept = kept;
  state.added = added;
}

// All threads of the CTA: scores [queries, kTiles, kTilePitch] become weights, and states say what
// is known of the tiles. Who reads them waits at a barrier. one_split: nothing is merged here.
SHOAL_DEVICE void weigh(float* scores, QueryState* states, int queries, int split, bool one_split) {
  const int query = thread() / kTiles, tile = thread() % kTiles;
  QueryState& state = states[query];
  const bool has_tile =
      query < queries && tile >= tile_begin(state, split) && tile < tile_end(state, split);
  float* const own = scores + query * kScorePitch + tile * kTilePitch;
  if (has_tile) state.tile[tile] = largest_of_tile(own);
  warp_barrier();
  if (has_tile) {
    float before = minus_infinity();
    for (int t = tile_begin(state, split); t < tile; ++t) before = larger(state.tile[t], before);
    const float maximum = larger(state.tile[tile], before);
    state.running[tile] = maximum;
    state.correction[tile] = exp(sub(before, maximum));
  }
  barrier();
  if (thread() < kSplit) {
    for (int i = 0; i < queries; ++i) {
      if (warp() < tile_begin(states[i], split) || warp() >= tile_end(states[i], split)) continue;
      float& score = scores[i * kScorePitch + warp() * kTilePitch + lane()];
      score = exp(sub(score, states[i].running[warp()]));
    }
  }
  barrier();
  if (has_tile) state.tile[tile] = sum_of_tile(own);
  warp_barrier();
  if (tile == 0 && query < queries) {
    add_split(state, split, one_split || state.begin / kSplit == split);
  }
}

}  // namespace shoal::kernels::cuda
