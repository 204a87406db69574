// SPDX-License-Identifier: Apache-2.0
// What the three Vec16 types share. A Vec16 is 16 f32 lanes of one instruction set; kernels are
// templates over it, so that each is written once and every set computes the same operations in the
// same order (bitwise the same results). Rule for code reached from here: templates over V, or
// members of V, and nothing inline from the standard library: an inline function compiled with
// AVX-512 flags could otherwise be the copy that the linker keeps for everybody.
#pragma once

#include <cstdint>

#include "kernels/tensor.h"

#define SHOAL_INLINE inline __attribute__((always_inline))
#define SHOAL_LAMBDA __attribute__((always_inline))
#if defined(__clang__)
#define SHOAL_UNROLL _Pragma("unroll")
#else
#define SHOAL_UNROLL _Pragma("GCC unroll 16")
#endif

namespace shoal::kernels {

// DType as types, for overloads.
struct BF16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

}  // namespace shoal::kernels
