// SPDX-License-Identifier: Apache-2.0
// The law of portable.h: activations quantized, and their products with packed weights. Templates
// over a Vec16 and the exact dots that go with it (rule: vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/linear_kernel.h"
#include "kernels/portable.h"
#include "kernels/quantize_kernel.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

template <class V>
SHOAL_INLINE QuantizedGroup* group_at(const QuantizedRows& rows, std::int64_t row, std::int64_t g) {
  return reinterpret_cast<QuantizedGroup*>(reinterpret_cast<char*>(rows.data) + row * rows.stride) +
         g;
}

// x [k] into row `row` of `to`.
template <class V>
void quantize_row(const float* x, std::int64_t k, const QuantizedRows& to, std::int64_t row) {
  for (std::int64_t g = 0; g < to.groups; ++g) {
    const std::int64_t left = k - g * kGroup;
    const float* from = x + g * kGroup;
    const V first = load_lanes<V>(from, left < 16 ? static_cast<int>(left) : 16);
    const V second = left <= 16
                         ? V::zero()
                         : load_lanes<V>(from + 16, left < 32 ? static_cast<int>(left - 16) : 16);
    const float largest = V::max_lane(V::max(magnitude(first), magnitude(second)));
    const float finite = V::sum(V::fma(first, V::zero(), V::mul(second, V::zero())));
    const Int8Scale by = int8_scale<V>(largest, finite);
    const V inv = V::set1(by.inverse);
    const V low = round_in<V>(V::mul(first, inv), -127.0f, 127.0f);
    const V high = round_in<V>(V::mul(second, inv), -127.0f, 127.0f);
    QuantizedGroup& group = *group_at<V>(to, row, g);
    group.scale = by.scale;
    low.store_integers(group.values);
    high.store_integers(group.values + 16);
    group.sum = V::sum(V::add(low, high));
  }
}

// One group of T tiles.
template <WeightFormat kFormat, int T>
SHOAL_INLINE void prefetch_group(const std::uint8_t* group, std::int64_t groups) {
  constexpr std::int64_t kBytes = packed_group_bytes(kFormat);
  SHOAL_UNROLL
  for (int t = 0; t < T; ++t) {
    SHOAL_UNROLL
    for (std::int64_t at = 0; at < kBytes; at += 64) {
      __builtin_prefetch(group + t * groups * kBytes + at, 0, 2);
    }
  }
}

// Groups [begin, end) of R rows from `row` on, at most one segment of them, against the outputs of
// T tiles: acc [R, T]. Where `ahead` is not null it is where the first tile's next segment begins.
template <class V, class Dots, WeightFormat kFormat, int R, int T>
SHOAL_INLINE void segment(const QuantizedRows& x, const std::uint8_t* tile, std::int64_t row,
                          std::int64_t begin, std::int64_t end, const std::uint8_t* ahead,
                          V (&acc)[R * T]) {
  constexpr std::int64_t kBytes = packed_group_bytes(kFormat);
  constexpr int kScales = kFormat == WeightFormat::kQ4 ? 64 : 32;
  SHOAL_UNROLL
  for (int i = 0; i < R * T; ++i) acc[i] = V::zero();
  for (std::int64_t g = begin; g < end; ++g) {
    const QuantizedGroup* const first = group_at<V>(x, row, g);
    if (ahead != nullptr) prefetch_group<kFormat, T>(ahead + (g - begin) * kBytes, x.groups);
    typename Dots::Sums sums[R * T];
    Dots::template dots<kFormat, R, T>(tile + g * kBytes + kScales, x.groups * kBytes, first,
                                       x.stride, sums);
    SHOAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const auto* const scales = reinterpret_cast<const F16*>(tile + (t * x.groups + g) * kBytes);
      const V scale = V::load(scales);
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) {
        V& to = acc[r * T + t];
        const QuantizedGroup& of = *rows_behind<V>(first, r * x.stride);
        const V of_x = V::set1(of.scale);
        to = V::fma(Dots::to_f32(sums[r * T + t]), V::mul(scale, of_x), to);
        if constexpr (kFormat == WeightFormat::kQ4) {
          to = V::fma(V::set1(of.sum), V::mul(V::load(scales + 16), of_x), to);
        }
      }
    }
  }
}

template <class V>
SHOAL_INLINE void write_outputs(const LinearPart& part, V value, std::int64_t row, std::int64_t n) {
  const std::int64_t left = part.out_end - n;
  const int valid = left < kTileOutputs ? static_cast<int>(left) : static_cast<int>(kTileOutputs);
  if (part.bias != nullptr) value = V::add(value, load_bias<V>(part, n, valid));
  float* out = part.out + (row - part.out_row) * part.out_stride + (n - part.out_column);
  if (part.accumulate) value = V::add(load_lanes<V>(out, valid), value);
  store_lanes<V>(value, out, valid);
}

constexpr std::int64_t segment_end(std::int64_t begin, std::int64_t groups) {
  return begin + kSegmentGroups < groups ? begin + kSegmentGroups : groups;
}

// One row waits for memory, which gives most to a reader that follows several streams: T tiles.
template <class V, class Dots, WeightFormat kFormat, int T>
void one_row(const LinearPart& part, const std::uint8_t* tile, std::int64_t row, std::int64_t n) {
  const QuantizedRows& x = part.quantized;
  V total[T];
  std::int64_t end = segment_end(0, x.groups);
  segment<V, Dots, kFormat, 1, T>(x, tile, row, 0, end, nullptr, total);
  while (end < x.groups) {
    const std::int64_t begin = end;
    end = segment_end(begin, x.groups);
    V acc[T];
    segment<V, Dots, kFormat, 1, T>(x, tile, row, begin, end, nullptr, acc);
    SHOAL_UNROLL
    for (int t = 0; t < T; ++t) total[t] = V::add(total[t], acc[t]);
  }
  SHOAL_UNROLL
  for (int t = 0; t < T; ++t) write_outputs<V>(part, total[t], row, n + t * kTileOutputs);
}

}  // namespace shoal::kernels
