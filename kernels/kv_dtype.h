// SPDX-License-Identifier: Apache-2.0
// How keys and values are kept in pages: the types, the bytes that they take, and the law of i8.
// Plain values.
//
// A vector is the head_dim keys, or values, of one position and kv head; a tile, the vectors of one
// kv head in a page. A tile is
//   f32, bf16, f16   x [kPagePositions, head_dim], rounded to nearest even when they are written,
//                    widened exactly when they are read
//   i8               q [kPagePositions, head_dim], int8; then s [kPagePositions], f32: one scale
//                    for each vector, whatever else is in the page
// i8, written: s = max|x| / 127; below 2^-126 it is taken as 0; inv = 1 / s, or 0 where s is 0;
//   q = x inv, rounded to the nearest integer (half to even), held in [-127, 127]. Where a value is
//   not finite, s is NaN (0x7fc00000) and q says nothing: who reads the vector reads NaN.
// i8, read: x = float(q) * s. Then it is f32 like the rest.
// All operations f32, rounded to nearest even, so every instruction set keeps and reads the same
// bits. What is read misses what was written by at most 0.50003 s, or 2^-119 where s is taken as 0;
// the largest few of all f32 may read as infinity, as in bf16.
//
// A tile's values, and all of it, take a multiple of 32 bytes whatever head_dim is: pages begin at
// multiples of 64 bytes, so tiles and scales begin at multiples of 32.
#pragma once

#include <cstdint>

namespace shoal::kernels {

enum class KvDType : std::uint8_t { kF32, kBF16, kF16, kI8 };
inline constexpr KvDType kKvDTypes[] = {KvDType::kF32, KvDType::kBF16, KvDType::kF16, KvDType::kI8};

constexpr const char* kv_dtype_name(KvDType dtype) {
  switch (dtype) {
    case KvDType::kF32:
      return "f32";
    case KvDType::kBF16:
      return "bf16";
    case KvDType::kF16:
      return "f16";
    case KvDType::kI8:
      return "i8";
  }
  return "";
}

// Of one vector with all that belongs to it.
constexpr std::int64_t kv_vector_bytes(KvDType dtype, std::int64_t head_dim) {
  switch (dtype) {
    case KvDType::kF32:
      return 4 * head_dim;
    case KvDType::kBF16:
    case KvDType::kF16:
      return 2 * head_dim;
    case KvDType::kI8:
      return head_dim + 4;
  }
  return 0;
}
// Keys and values of one position in one block: whoever counts the memory of pages multiplies this.
constexpr std::int64_t kv_position_bytes(KvDType dtype, std::int64_t kv_heads,
                                         std::int64_t head_dim) {
  return 2 * kv_heads * kv_vector_bytes(dtype, head_dim);
}

}  // namespace shoal::kernels
