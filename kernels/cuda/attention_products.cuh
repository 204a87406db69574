// SPDX-License-Identifier: Apache-2.0
// The two products of attention, in registers: queries with keys, weights with values. Queries wait
// in shared memory in runs of 16 values, those of four queries side by side.
#pragma once

#include "kernels/cuda/attention_softmax.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kSideBySide = 4;
SHOAL_DEVICE int place_in_queries(int query, int d, int padded) {
  return (query / kSideBySide * (padded / 16) + d / 16) * (16 * kSideBySide) +
         query % kSideBySide * 16 + d % 16;
}

// Of one key and kCount queries: 16 partial sums each, folded by 8, 4, 2, 1. q: where the first of
// the queries begins, none of them of another four.
template <KvDType kType, bool kWide, int kCount>
SHOAL_DEVICE void score_key(const float* q, const char* key, float key_scale, int head_dim,
                            float (&scores)[kCount]) {
  constexpr int kRun = kRunValues<kType>;
  float sums[kCount][16];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kCount; ++i) {
    SHOAL_DEVICE_UNROLL
    for (int c = 0; c < 16; ++c) sums[i][c] = 0.0f;
  }
  for (int d = 0; d < head_dim; d += 16) {
    SHOAL_DEVICE_UNROLL
    for (int run = 0; run < 16; run += kRun) {
      float k[kRun];
      read_run<kType, kWide>(key, d + run, head_dim, key_scale, k);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        SHOAL_DEVICE_UNROLL
        for (int c = 0; c < kRun; c += 4) {
          const float4 x = *reinterpret_cast<const float4*>(q + i * 16 + run + c);
          float* const sum = sums[i] + run + c;
          sum[0] = fma(x.x, k[c], sum[0]);
          sum[1] = fma(x.y, k[c + 1], sum[1]);
          sum[2] = fma(x.z, k[c + 2], sum[2]);
          sum[3] = fma(x.w, k[c + 3], sum[3]);
        }
      }
    }
    q += 16 * kSideBySide;
  }
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kCount; ++i) scores[i] = fold_16(sums[i]);
}

// Two values of head_dim of up to four queries.
using ValueSums = float[kSideBySide][2];

// sums += weights . values, over `count` positions (a multiple of 4) in ascending order, all of
// which all kCount queries see. Weights are kScorePitch apart, vectors `pitch` bytes.
template <KvDType kType, bool kWide, int kCount>
SHOAL_DEVICE void add_all(const float* weights, const char* vectors, const float* scales, int pitch,
                          int pair, int head_dim, int count, ValueSums& sums) {
  for (int p = 0; p < count; p += 4) {
    float w[kCount][4];
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const float4 four = *reinterpret_cast<const float4*>(weights + i * kScorePitch + p);
      w[i][0] = four.x;
      w[i][1] = four.y;
      w[i][2] = four.z;
      w[i][3] = four.w;
    }
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float scale = kType == KvDType::kI8 ? scales[p + j] : 1.0f;
      const float2 v = read_2<kType, kWide>(vectors + (p + j) * pitch, pair, head_dim, scale);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        sums[i][0] = fma(w[i][j], v.x, sums[i][0]);
        sums[i][1] = fma(w[i][j], v.y, sums[i][1]);
      }
    }
  }
}

// The same of positions [begin, end) of each query. What lies elsewhere is not even multiplied.
template <KvDType kType, bool kWide, int kCount>
SHOAL_DEVICE void add_seen(const float* weights, const char* vectors, const float* scales,
                           int pitch, int pair, int head_dim, const int (&begin)[kCount],
                           const int (&end)[kCount], int count, ValueSums& sums) {
  for (int p = 0; p < count; ++p) {
    const float scale = kType == KvDType::kI8 ? scales[p] : 1.0f;
    const float2 v = read_2<kType, kWide>(vectors + p * pitch, pair, head_dim, scale);
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if (p < begin[i] || p >= end[i]) continue;
      const float weight = weights[i * kScorePitch + p];
      sums[i][0] = fma(weight, v.x, sums[i][0]);
      sums[i][1] = fma(weight, v.y, sums[i][1]);
    }
  }
}

}  // namespace shoal::kernels::cuda
