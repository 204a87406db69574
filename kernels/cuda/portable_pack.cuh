// SPDX-License-Identifier: Apache-2.0
// Stored weights into the portable formats: the law of kernels/portable_pack_kernel.h, operation by
// operation, so the bytes are those that the CPU packs. A thread has a group of an output.
#pragma once

#include "kernels/cuda/portable_weights.cuh"

namespace shoal::kernels::cuda {

// x where a < b, else y.
SHOAL_DEVICE float select_less(float a, float b, float x, float y) { return a < b ? x : y; }

// f16 and back: finite, whatever comes.
SHOAL_DEVICE float rounded_f16(float v) {
  return from_f16(to_f16(larger(smaller(v, 65504.0f), -65504.0f)));
}

SHOAL_DEVICE float inverse_of(float scale) {
  const float none = select_less(0.0f, magnitude(scale), 1.0f, 0.0f);
  return mul(none, div(1.0f, select_less(0.0f, magnitude(scale), scale, 1.0f)));
}

// One weight of an output, as an integer.
template <WeightFormat kFormat>
SHOAL_DEVICE float quantized(float w, float least, float inverse) {
  if constexpr (kFormat == WeightFormat::kQ8) return round_in(mul(w, inverse), -127.0f, 127.0f);
  if constexpr (kFormat == WeightFormat::kQ4S) return round_in(mul(w, inverse), -8.0f, 7.0f);
  return round_in(mul(sub(w, least), inverse), 0.0f, 15.0f);
}

struct GroupChoice {
  float scale, least, error;
};

constexpr int kGroupInputs = static_cast<int>(kGroup);

// Takes the candidate where it is better.
template <WeightFormat kFormat>
SHOAL_DEVICE void try_scale(const float (&w)[kGroupInputs], float scale, float least, bool first,
                            GroupChoice& best) {
  const float inverse = inverse_of(scale);
  float error = 0.0f;
  SHOAL_DEVICE_UNROLL
  for (int k = 0; k < kGroupInputs; ++k) {
    const float q = quantized<kFormat>(w[k], least, inverse);
    float miss;
    if constexpr (kFormat == WeightFormat::kQ4) {
      miss = sub(fma(q, scale, least), w[k]);
    } else {
      miss = fma(q, scale, sub(0.0f, w[k]));
    }
    error = fma(miss, miss, error);
  }
  if (first || error < best.error) best = {scale, least, error};
}

// The factors of candidate scales, in the order in which they are tried.
SHOAL_DEVICE float q8_factor(int i) { return i == 0 ? 1.0f : i == 1 ? 0.997f : 0.994f; }
SHOAL_DEVICE float q4_factor(int i) {
  return i == 0   ? 1.0f
         : i == 1 ? 0.97f
         : i == 2 ? 0.94f
         : i == 3 ? 0.91f
         : i == 4 ? 0.88f
         : i == 5 ? 0.85f
         : i == 6 ? 0.82f
                  : 0.79f;
}

template <WeightFormat kFormat>
SHOAL_DEVICE GroupChoice choose_scale(const float (&w)[kGroupInputs]) {
  GroupChoice best{};
  if constexpr (kFormat == WeightFormat::kQ4) {
    float low = w[0], high = w[0];
    SHOAL_DEVICE_UNROLL
    for (int k = 1; k < kGroupInputs; ++k) {
      low = smaller(low, w[k]);
      high = larger(high, w[k]);
    }
    const float middle = mul(add(high, low), 0.5f);
    const float reach = mul(sub(high, low), 0.5f);
    for (int i = 0; i < 6; ++i) {
      const float half = mul(reach, q4_factor(i));
      try_scale<kFormat>(w, rounded_f16(div(add(half, half), 15.0f)),
                         rounded_f16(sub(middle, half)), i == 0, best);
    }
    return best;
  }
  float largest = w[0];
  SHOAL_DEVICE_UNROLL
  for (int k = 1; k < kGroupInputs; ++k) {
    largest = select_less(magnitude(largest), magnitude(w[k]), w[k], largest);
  }
  if constexpr (kFormat == WeightFormat::kQ8) {
    for (int i = 0; i < 3; ++i) {
      const float scale = div(mul(magnitude(largest), q8_factor(i)), 127.0f);
      try_scale<kFormat>(w, rounded_f16(scale), 0.0f, i == 0, best);
    }
  } else {
    for (int i = 0; i < 16; ++i) {
      const float scale = div(mul(largest, q4_factor(i / 2)), i % 2 == 0 ? -8.0f : 8.0f);
      try_scale<kFormat>(w, rounded_f16(scale), 0.0f, i == 0, best);
    }
  }
  return best;
}

inline constexpr int kPackThreads = 128;

// 16 threads side by side have the outputs of a tile.
template <WeightFormat kFormat>
SHOAL_KERNEL void pack_portable_kernel(PackPortable a) {
  constexpr int kOutputs = static_cast<int>(kTileOutputs);
  using Group = PackedGroup<kFormat>;
  constexpr int kOffset =
      kFormat == WeightFormat::kQ8 ? 128 : (kFormat == WeightFormat::kQ4 ? 0 : 8);
  const std::int64_t groups = (a.cols + kGroup - 1) / kGroup;
  const std::int64_t tiles = (a.rows + kTileOutputs - 1) / kTileOutputs;
  const std::int64_t at =
      static_cast<std::int64_t>(block_x()) * (threads() / kOutputs) + thread() / kOutputs;
  if (at >= tiles * groups) return;
  const int j = thread() % kOutputs;
  const std::int64_t n = at / groups * kTileOutputs + j, first = at % groups * kGroup;
  float w[kGroupInputs];
  SHOAL_DEVICE_UNROLL
  for (int k = 0; k < kGroupInputs; ++k) {
    const bool there = n < a.rows && first + k < a.cols;
    w[k] = there ? widened(a.from, a.dtype, n * a.cols + first + k) : 0.0f;
  }
  const GroupChoice chosen = choose_scale<kFormat>(w);
  char* const to = static_cast<char*>(a.to) + at * Group::kBytes;
  reinterpret_cast<std::uint16_t*>(to)[j] = to_f16(chosen.scale);
  if constexpr (Group::kMinima) {
    reinterpret_cast<std::uint16_t*>(to)[kOutputs + j] = to_f16(chosen.least);
  }
  const float inverse = inverse_of(chosen.scale);
  std::uint32_t runs[kGroupInputs / 4] = {};
  SHOAL_DEVICE_UNROLL
  for (int k = 0; k < kGroupInputs; ++k) {
    const float q = quantized<kFormat>(w[k], chosen.least, inverse);
    runs[k / 4] |= static_cast<std::uint32_t>(static_cast<int>(q) + kOffset) << k % 4 * 8;
  }
  auto* const words = reinterpret_cast<std::uint32_t*>(to + Group::kValuesAt);
  if constexpr (kFormat == WeightFormat::kQ8) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 8; ++i) words[i * kOutputs + j] = runs[i];
  } else {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) words[i * kOutputs + j] = runs[2 * i] | runs[2 * i + 1] << 4;
  }
}

}  // namespace shoal::kernels::cuda
