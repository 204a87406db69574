// SPDX-License-Identifier: Apache-2.0
// What tensor cores do, for the warp that runs. Fragments: PTX ISA, "Matrix Fragments for
// mma.m16n8k32" and "mma.m16n8k16". Integers are exact. Float products depend on the card
// (microsoft/MMA-Sim, measured by its authors on each generation): one output element is a fused
// sum of products and accumulator: all aligned to the largest exponent, each cut toward zero after
// so many fraction bits, added exactly, and the sum cut toward zero to an f32.
//
//   kOrdered   an fma after the other, k ascending: no card, but quick
//   kAmpere    sm_80 to sm_89: two fused sums of 8 products, low k first, 24 fraction bits
//   kHopper    sm_90 and later: one fused sum of 16 products, 25 fraction bits
#pragma once

#include <cstdint>

#include "kernels/cuda/emulator/machine.h"

namespace shoal::kernels::cuda::emulator {

// d[16, 8] += a[16, 32] b[32, 8] in int32, which wraps.
void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
// d[16, 8] += a[16, 16] b[16, 8], by the machine's rule.
void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

// c + a[0] b[0] + ... + a[15] b[15], of bf16 or f16, as one output element has it.
float multiply_bf16(MmaRule rule, const std::uint16_t (&a)[16], const std::uint16_t (&b)[16],
                    float c);
float multiply_f16(MmaRule rule, const std::uint16_t (&a)[16], const std::uint16_t (&b)[16],
                   float c);

// Four matrices [8, 8] of 16-bit values: the i-th's rows, 16 bytes each, are where lanes 8 i to
// 8 i + 7 say. A lane gets values 2 (lane % 4) and the next of row lane / 4 of each; transposed: of
// that column.
void load_matrices(std::uint32_t (&r)[4], const void* row, bool transposed);

}  // namespace shoal::kernels::cuda::emulator
