// SPDX-License-Identifier: Apache-2.0
// Kernels that do one thing each, so that a card can be asked what device.cuh and f32.cuh promise
// of it. Fragments: PTX ISA, "Matrix Fragments for mma.m16n8k32" and "mma.m16n8k16". One source
// for both backs.
#pragma once

#include <cstdint>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/f32.cuh"
#include "tests/kernels/truth/parts.h"

namespace shoal::kernels::cuda::truth {
inline namespace SHOAL_TRUTH_BACK {

// This warp's item; beyond the last, none has work.
SHOAL_DEVICE std::int64_t warp_item() {
  return std::int64_t{block_x()} * (threads() / 32) + warp();
}

// Which word of a row of a, or of a column of b, is register i of a lane; of d, which value.
SHOAL_DEVICE int word_of_a(int i) { return (lane() / 4 + i % 2 * 8) * 8 + lane() % 4 + i / 2 * 4; }
SHOAL_DEVICE int word_of_b(int i) { return lane() / 4 * 8 + lane() % 4 + i * 4; }
SHOAL_DEVICE int place_of_d(int i) { return (lane() / 4 + i / 2 * 8) * 8 + lane() % 4 * 2 + i % 2; }

SHOAL_DEVICE void load_fragments(const std::uint32_t* tile, std::uint32_t (&a)[4],
                                 std::uint32_t (&b)[2]) {
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) a[i] = tile[word_of_a(i)];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 2; ++i) b[i] = tile[kTileA + word_of_b(i)];
}

SHOAL_DEVICE void multiply_bf16(const Work& work, int steps) {
  const std::int64_t item = warp_item();
  if (item >= work.items) return;
  const std::uint32_t* const in = work.in + item * (kTileD + steps * (kTileA + kTileB));
  float d[4];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) d[i] = float_of(in[place_of_d(i)]);
  for (int step = 0; step < steps; ++step) {
    std::uint32_t a[4], b[2];
    load_fragments(in + kTileD + step * (kTileA + kTileB), a, b);
    mma_bf16(d, a, b);
  }
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) work.out[item * kTileD + place_of_d(i)] = bits_of(d[i]);
}
SHOAL_KERNEL void mma_bf16_once(Work work) { multiply_bf16(work, 1); }
SHOAL_KERNEL void mma_bf16_chain(Work work) { multiply_bf16(work, kChain); }

SHOAL_KERNEL void mma_s8_once(Work work) {
  const std::int64_t item = warp_item();
  if (item >= work.items) return;
  const std::uint32_t* const in = work.in + item * (kTileD + kTileA + kTileB);
  std::int32_t d[4];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) d[i] = static_cast<std::int32_t>(in[place_of_d(i)]);
  std::uint32_t a[4], b[2];
  load_fragments(in + kTileD, a, b);
  mma_s8(d, a, b);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) {
    work.out[item * kTileD + place_of_d(i)] = static_cast<std::uint32_t>(d[i]);
  }
}

// Sixteen rows of 16 values of 16 bits, as four matrices: rows 0 to 7 of the left half, of the
// right half, then rows 8 to 15. The copy leaves out what every third lane would bring.
SHOAL_KERNEL void matrices(Work work) {
  Shared shared;
  std::uint32_t* const tiles = shared.take<std::uint32_t>(kThreads / 32 * kTileA);
  std::uint32_t* const copies = shared.take<std::uint32_t>(kThreads / 32 * kTileA);
  const std::int64_t item = warp_item();
  if (item >= work.items) return;
  std::uint32_t* const tile = tiles + warp() * kTileA;
  std::uint32_t* const copied = copies + warp() * kTileA;
  const std::uint32_t* const mine = work.in + item * kTileA + lane() * 4;
  copy_async(copied + lane() * 4, mine, lane() % 3 != 0);
  commit_copies();
  const uint4 words = load_once(reinterpret_cast<const uint4*>(mine));
  *reinterpret_cast<uint4*>(tile + lane() * 4) = words;
  wait_copies<0>();
  warp_barrier();
  const int matrix = lane() / 8, row = matrix / 2 * 8 + lane() % 8;
  const std::uint32_t* const at = tile + row * 8 + matrix % 2 * 4;
  std::uint32_t straight[4], transposed[4];
  load_matrices(straight, at);
  load_matrices_transposed(transposed, at);
  std::uint32_t* const out = work.out + item * 32 * 12 + lane() * 12;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) {
    out[i] = straight[i];
    out[4 + i] = transposed[i];
    out[8 + i] = copied[(lane() ^ 1) * 4 + i];  // a neighbour's
  }
}

SHOAL_KERNEL void shuffles(Work work) {
  const std::int64_t item = warp_item();
  if (item >= work.items) return;
  const std::uint32_t word = work.in[item * 32 + lane()];
  std::uint32_t* const out = work.out + (item * 32 + lane()) * 2 * kMasks;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kMasks; ++i) {
    out[i] = bits_of(shuffle_xor(float_of(word), 1 << i));
    out[kMasks + i] =
        static_cast<std::uint32_t>(shuffle_xor(static_cast<std::int32_t>(word), 1 << i));
  }
}

SHOAL_KERNEL void scalars(Work work) {
  const std::int64_t item = std::int64_t{block_x()} * threads() + thread();
  if (item >= work.items) return;
  const std::uint32_t* const in = work.in + item * 3;
  const float a = float_of(in[0]), b = float_of(in[1]), c = float_of(in[2]);
  const auto half = static_cast<std::uint16_t>(in[0]);
  std::uint32_t* const out = work.out + item * kScalarCount;
  out[kAdd] = bits_of(add(a, b));
  out[kSub] = bits_of(sub(a, b));
  out[kMul] = bits_of(mul(a, b));
  out[kFma] = bits_of(fma(a, b, c));
  out[kDiv] = bits_of(div(a, b));
  out[kSqrt] = bits_of(sqrt(a));
  out[kLarger] = bits_of(larger(a, b));
  out[kSmaller] = bits_of(smaller(a, b));
  out[kFromF16] = bits_of(from_f16(half));
  out[kFromBf16] = bits_of(from_bf16(half));
  out[kToF16] = to_f16(a);
  out[kToBf16] = to_bf16(a);
}

using Kernel = void (*)(Work);
inline Kernel kernel_of(Part part) {
  switch (part) {
    case Part::kMmaBf16:
      return &mma_bf16_once;
    case Part::kMmaBf16Chain:
      return &mma_bf16_chain;
    case Part::kMmaS8:
      return &mma_s8_once;
    case Part::kMatrices:
      return &matrices;
    case Part::kShuffles:
      return &shuffles;
    case Part::kScalars:
      return &scalars;
  }
  return nullptr;
}

}  // namespace SHOAL_TRUTH_BACK
}  // namespace shoal::kernels::cuda::truth
