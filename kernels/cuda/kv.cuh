// SPDX-License-Identifier: Apache-2.0
// Reads parts of the vectors that pages keep: the law of kernels/kv_dtype.h, operation by operation
// as kernels/kv_kernel.h.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kPage = 32;  // positions; also a tile of attention

template <KvDType kType>
inline constexpr int kValueBytes = kType == KvDType::kF32  ? 4
                                   : kType == KvDType::kI8 ? 1
                                                           : 2;

// Byte i of a word as an int8. By a float whose last place is 1: conversions run at a quarter of
// the rate of additions.
SHOAL_DEVICE float int8_of(std::uint32_t word, int i) {
  return sub(float_of(0x4b000000u | ((word ^ 0x80808080u) >> 8 * i & 0xffu)), 8388736.0f);
}

// The values in the four bytes of a word, in f32.
template <KvDType kType>
SHOAL_DEVICE void widen_word(std::uint32_t word, float scale, float* to) {
  if constexpr (kType == KvDType::kF32) {
    to[0] = float_of(word);
  } else if constexpr (kType == KvDType::kBF16) {
    to[0] = float_of(word << 16);
    to[1] = float_of(word & 0xffff0000u);
  } else if constexpr (kType == KvDType::kF16) {
    to[0] = from_f16(static_cast<std::uint16_t>(word & 0xffffu));
    to[1] = from_f16(static_cast<std::uint16_t>(word >> 16));
  } else {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) to[i] = mul(int8_of(word, i), scale);
  }
}

// Value i of a vector.
template <KvDType kType>
SHOAL_DEVICE float kept_value(const char* vector, int i, float scale) {
  if constexpr (kType == KvDType::kF32) {
    return reinterpret_cast<const float*>(vector)[i];
  } else if constexpr (kType == KvDType::kI8) {
    return mul(static_cast<float>(reinterpret_cast<const std::int8_t*>(vector)[i]), scale);
  } else {
    const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(vector)[i];
    return kType == KvDType::kBF16 ? from_bf16(bits) : from_f16(bits);
  }
}

// Values [d, d + 16), zeros from head_dim on. kWide: vectors are whole runs of 16 bytes, aligned.
template <KvDType kType, bool kWide>
SHOAL_DEVICE void read_16(const char* vector, int d, int head_dim, float scale, float (&to)[16]) {
  if constexpr (kWide) {
    constexpr int kBytes = kValueBytes<kType>, kValues = 16 / kBytes;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kBytes; ++i) {
      const int at = d + i * kValues;
      uint4 bits{0, 0, 0, 0};
      // An i8 vector that is wide has no tail.
      if (kType == KvDType::kI8 || at < head_dim) {
        bits = *reinterpret_cast<const uint4*>(vector + at * kBytes);
      }
      widen_word<kType>(bits.x, scale, to + i * kValues);
      widen_word<kType>(bits.y, scale, to + i * kValues + kValues / 4);
      widen_word<kType>(bits.z, scale, to + i * kValues + kValues / 2);
      widen_word<kType>(bits.w, scale, to + i * kValues + 3 * kValues / 4);
    }
  } else {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 16; ++i) {
      to[i] = d + i < head_dim ? kept_value<kType>(vector, d + i, scale) : 0.0f;
    }
  }
}

// Values d and d + 1, d even; zeros from head_dim on.
template <KvDType kType, bool kWide>
SHOAL_DEVICE float2 read_2(const char* vector, int d, int head_dim, float scale) {
  if constexpr (kWide && kType == KvDType::kF32) {
    return *reinterpret_cast<const float2*>(vector + 4 * d);
  } else if constexpr (kWide && kType == KvDType::kI8) {
    const std::uint32_t bits = *reinterpret_cast<const std::uint16_t*>(vector + d);
    return {mul(int8_of(bits, 0), scale), mul(int8_of(bits, 1), scale)};
  } else if constexpr (kWide) {
    float both[2];
    widen_word<kType>(*reinterpret_cast<const std::uint32_t*>(vector + 2 * d), scale, both);
    return {both[0], both[1]};
  } else {
    return {d < head_dim ? kept_value<kType>(vector, d, scale) : 0.0f,
            d + 1 < head_dim ? kept_value<kType>(vector, d + 1, scale) : 0.0f};
  }
}

}  // namespace shoal::kernels::cuda
