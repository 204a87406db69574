// SPDX-License-Identifier: Apache-2.0
// What a card is asked for, one instruction at a time: kernels of truth.cuh over flat words. An
// item is one warp's work, or one thread's, with so many words in and out. Plain values; read by
// nvcc and by the compiler of the host.
#pragma once

#include <cstdint>

// One program has the kernels of both backs.
#if defined(__CUDACC__)
#define SHOAL_TRUTH_BACK on_gpu
#else
#define SHOAL_TRUTH_BACK emulated
#endif

namespace shoal::kernels::cuda::truth {

enum class Part : std::uint8_t { kMmaBf16, kMmaBf16Chain, kMmaS8, kMatrices, kShuffles, kScalars };

// A tile of a tensor core, in words: d[16, 8]; a[16, k], of each row its values; b[8, k], of each
// column its values. 16 values of bf16 or 32 of int8 fill the 8 words of a row.
inline constexpr int kTileD = 16 * 8, kTileA = 16 * 8, kTileB = 8 * 8;
inline constexpr int kChain = 32;  // products into one accumulator

// Of kShuffles, each lane: the masks 1, 2, 4, 8, 16 of a float, then those of an int32.
inline constexpr int kMasks = 5;
// Of kScalars, from words a, b, c.
enum Scalar : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kFma,
  kDiv,
  kSqrt,
  kLarger,
  kSmaller,
  kFromF16,
  kFromBf16,
  kToF16,
  kToBf16,
  kScalarCount
};
inline constexpr const char* kScalarNames[kScalarCount] = {"add",  "sub",   "mul",    "fma",
                                                           "div",  "sqrt",  "larger", "smaller",
                                                           "f16>", "bf16>", ">f16",   ">bf16"};

struct Words {
  int in, out;
  bool of_warp;  // an item is a warp's, else a thread's
};
constexpr Words words_of(Part part) {
  switch (part) {
    case Part::kMmaBf16:
    case Part::kMmaS8:
      return {kTileD + kTileA + kTileB, kTileD, true};
    case Part::kMmaBf16Chain:
      return {kTileD + kChain * (kTileA + kTileB), kTileD, true};
    case Part::kMatrices:  // each lane: ldmatrix, transposed, four words of a copy
      return {kTileA, 32 * 12, true};
    case Part::kShuffles:
      return {32, 32 * 2 * kMasks, true};
    case Part::kScalars:
      return {3, kScalarCount, false};
  }
  return {};
}

// The argument of each kernel: items side by side.
struct Work {
  const std::uint32_t* in;
  std::uint32_t* out;
  std::int64_t items;
};

inline constexpr int kThreads = 128;  // of a CTA
constexpr std::int64_t ctas_of(Part part, std::int64_t items) {
  const std::int64_t each = words_of(part).of_warp ? kThreads / 32 : kThreads;
  return (items + each - 1) / each;
}
// What kMatrices takes of shared memory, for each warp a tile and a copy of it.
inline constexpr int kSharedBytes = kThreads / 32 * 2 * kTileA * 4;

}  // namespace shoal::kernels::cuda::truth
