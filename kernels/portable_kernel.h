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

// One group, `lanes` values of it; the sum of what it writes.
template <class V>
SHOAL_INLINE std::int32_t quantize_group(const V& first, const V& second, float inverse,
                                         std::int8_t* to) {
  const V inv = V::set1(inverse);
  float rounded[32];
  rounded_bits(first, inv).store(rounded);
  rounded_bits(second, inv).store(rounded + 16);
  std::int32_t sum = 0;
  for (int i = 0; i < 32; ++i) {
    const std::int32_t value = rounded_int<V>(rounded[i]);
    to[i] = static_cast<std::int8_t>(value);
    sum += value;
  }
  return sum;
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
    const std::int64_t at = row * to.groups + g;
    to.scales[at] = by.scale;
    to.sums[at] = quantize_group<V>(first, second, by.inverse, to.values + at * kGroup);
  }
}

// Groups [begin, end) of R rows from `row` on, at most one segment of them, against the outputs of
// T tiles: acc [R, T].
template <class V, class Dots, WeightFormat kFormat, int R, int T>
SHOAL_INLINE void segment(const QuantizedRows& x, const std::uint8_t* tile, std::int64_t row,
                          std::int64_t begin, std::int64_t end, V (&acc)[R * T]) {
  constexpr std::int64_t kBytes = packed_group_bytes(kFormat);
  constexpr int kScales = kFormat == WeightFormat::kQ4 ? 64 : 32;
  SHOAL_UNROLL
  for (int i = 0; i < R * T; ++i) acc[i] = V::zero();
  for (std::int64_t g = begin; g < end; ++g) {
    const std::int64_t at = row * x.groups + g;
    SHOAL_UNROLL
    for (int t = 0; t < T; ++t) {
      const std::uint8_t* const weights = tile + (t * x.groups + g) * kBytes;
      typename Dots::Sums sums[R];
      if constexpr (kFormat == WeightFormat::kQ8) {
        Dots::template q8<R>(weights + kScales, x.values + at * kGroup, x.groups * kGroup, sums);
      } else {
        Dots::template q4<R>(weights + kScales, x.values + at * kGroup, x.groups * kGroup, sums);
      }
      const V scale = V::load(reinterpret_cast<const F16*>(weights));
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) {
        V& to = acc[r * T + t];
        const V of_x = V::set1(x.scales[at + r * x.groups]);
        const std::int32_t sum = x.sums[at + r * x.groups];
        if constexpr (kFormat == WeightFormat::kQ4S) sums[r] = Dots::minus(sums[r], 8 * sum);
        to = V::fma(Dots::to_f32(sums[r]), V::mul(scale, of_x), to);
        if constexpr (kFormat == WeightFormat::kQ4) {
          const V least = V::load(reinterpret_cast<const F16*>(weights) + 16);
          to = V::fma(V::set1(static_cast<float>(sum)), V::mul(least, of_x), to);
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
  segment<V, Dots, kFormat, 1, T>(x, tile, row, 0, end, total);
  while (end < x.groups) {
    const std::int64_t begin = end;
    end = segment_end(begin, x.groups);
    V acc[T];
    segment<V, Dots, kFormat, 1, T>(x, tile, row, begin, end, acc);
    SHOAL_UNROLL
    for (int t = 0; t < T; ++t) total[t] = V::add(total[t], acc[t]);
  }
  SHOAL_UNROLL
  for (int t = 0; t < T; ++t) write_outputs<V>(part, total[t], row, n + t * kTileOutputs);
}

}  // namespace shoal::kernels
