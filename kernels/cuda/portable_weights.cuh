// SPDX-License-Identifier: Apache-2.0
// Packed weights (kernels/portable.h) as mma_s8 takes them as A, and the few operations in f32 that
// make sums of a group the result's: all that the kernels for few and for many rows share.
//
// A lane (g = lane / 4, t = lane % 4) has two outputs as rows g and g + 8 of A, of each two runs of
// 4 inputs. Any two outputs will do, so they are neighbours, and a lane reads them at once.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/row_stage.cuh"
#include "kernels/portable.h"

namespace shoal::kernels::cuda {

template <WeightFormat kFormat>
struct PackedGroup {
  static constexpr bool kMinima = kFormat == WeightFormat::kQ4;
  static constexpr int kBytes = static_cast<int>(packed_group_bytes(kFormat));
  static constexpr int kValuesAt = kMinima ? 64 : 32;
  // Runs of values: 256 bytes are four, of q8 one of a byte's, else two.
  static constexpr int kParts = kFormat == WeightFormat::kQ8 ? 2 : 1;
  static constexpr int kPartBytes = 256;
};

// first, second: the outputs' bytes of the lane's first part; behind them those of the other (q8).
template <WeightFormat kFormat>
SHOAL_DEVICE void as_operand(std::uint32_t first, std::uint32_t second, std::uint32_t first_behind,
                             std::uint32_t second_behind, std::uint32_t (&a)[4]) {
  if constexpr (kFormat == WeightFormat::kQ8) {
    a[0] = first ^ 0x80808080u;  // q + 128 as q
    a[1] = second ^ 0x80808080u;
    a[2] = first_behind ^ 0x80808080u;
    a[3] = second_behind ^ 0x80808080u;
  } else {
    a[0] = first & 0x0f0f0f0fu;
    a[1] = second & 0x0f0f0f0fu;
    a[2] = first >> 4 & 0x0f0f0f0fu;
    a[3] = second >> 4 & 0x0f0f0f0fu;
  }
}

// Scales of two outputs or of two rows.
struct Two {
  float first, second;
};
SHOAL_DEVICE Two two_f16(std::uint32_t bits) {
  return {from_f16(static_cast<std::uint16_t>(bits & 0xffffu)),
          from_f16(static_cast<std::uint16_t>(bits >> 16))};
}

// A group of the lane's two outputs.
struct Outputs {
  std::uint32_t a[4];
  Two scales, minima;  // minima: q4
};
// A group of the lane's two rows (columns 2 t and 2 t + 1 of B), and its part of B.
struct Columns {
  uint2 b;
  Two scales, sums;  // sums: q4, q4s
};

template <WeightFormat kFormat>
SHOAL_DEVICE Columns both_columns(const QuantizedTile& x, int g, int t) {
  Columns columns;
  columns.b = x.values[g][t];
  const float2 scales = *reinterpret_cast<const float2*>(x.scales + 2 * t);
  columns.scales = {scales.x, scales.y};
  if constexpr (kFormat != WeightFormat::kQ8) {
    const float2 sums = *reinterpret_cast<const float2*>(x.sums + 2 * t);
    columns.sums = {sums.x, sums.y};
  }
  return columns;
}

// acc: results of (first output, first row), (first, second), (second, first), (second, second).
// kBoth: else the second row's are nobody's.
//
// A group of which all bytes are zeros changes nothing, so runs of groups may be filled up with
// them: its scales are 0, so +0 or -0 is added to a sum; and a sum is never -0, because it began
// with +0 and is made of multiples of 2^-149, the least number, and so is never rounded to zero.
template <WeightFormat kFormat, bool kBoth>
SHOAL_DEVICE void add_group(const Outputs& w, const Columns& x, float (&acc)[4]) {
  constexpr bool kShifted = kFormat == WeightFormat::kQ4S;
  constexpr auto kBegin = static_cast<std::int32_t>(kMagicBits);
  std::int32_t sums[4] = {kBegin, kBegin, kBegin, kBegin};
  const std::uint32_t b[2] = {x.b.x, x.b.y};
  mma_s8(sums, w.a, b);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (!kBoth && i % 2 != 0) continue;
    const float of_x = i % 2 == 0 ? x.scales.first : x.scales.second;
    const float of_w = i < 2 ? w.scales.first : w.scales.second;
    const float sum_of_x = i % 2 == 0 ? x.sums.first : x.sums.second;
    const float sum = sub(float_of(static_cast<std::uint32_t>(sums[i])),
                          kShifted ? sum_of_x : kMagic);  // exact
    acc[i] = fma(sum, mul(of_w, of_x), acc[i]);
    if constexpr (PackedGroup<kFormat>::kMinima) {
      const float least = i < 2 ? w.minima.first : w.minima.second;
      acc[i] = fma(sum_of_x, mul(least, of_x), acc[i]);
    }
  }
}

// Layers of one x, or gate and up; all of one format and one number of groups.
struct PortableProduct {
  const char* values;
  const void* bias;  // or null
  DType bias_dtype;
  int outputs;
  float* out;
  std::int64_t stride;
  int end;  // of its CTAs in the grid
};
struct PortableProducts {
  ConstRows x;
  bool aligned;                    // of x: load_four
  const QuantizedTile* quantized;  // [tiles of rows, groups]
  int groups;
  bool accumulate;
  bool gated;  // products are gate and up; out is gate's
  PortableProduct products[kMaxProducts];
  StageNorm norm = {};  // of x, where kernels for few rows quantize it themselves
};

// The product of a CTA, and the CTA's place in it.
struct Share {
  int product, block;
};
SHOAL_DEVICE Share share_of(const PortableProducts& a, int block) {
  if (block < a.products[0].end) return {0, block};
  if (block < a.products[1].end) return {1, block - a.products[0].end};
  return {2, block - a.products[1].end};
}

// Of a product tile `tile`, or the last where there is none: what it gives is nobody's then.
template <WeightFormat kFormat>
SHOAL_DEVICE const char* tile_at(const PortableProduct& product, int tile, int groups) {
  const int last = (product.outputs - 1) / static_cast<int>(kTileOutputs);
  return product.values + static_cast<std::int64_t>(tile < last ? tile : last) * groups *
                              PackedGroup<kFormat>::kBytes;
}

SHOAL_DEVICE float with_bias(const PortableProduct& product, int output, float value) {
  if (product.bias == nullptr) return value;
  return add(value, widened(product.bias, product.bias_dtype, output));
}

}  // namespace shoal::kernels::cuda
