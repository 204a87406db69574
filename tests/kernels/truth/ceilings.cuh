// SPDX-License-Identifier: Apache-2.0
// Kernels that do nothing but what a card can do at most: read, or compute from registers. Each
// gives a result that depends on all it did, so that nothing is left out. One source for both
// backs.
#pragma once

#include <cstdint>

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/f32.cuh"
#include "tests/kernels/truth/parts.h"

namespace shoal::kernels::cuda::truth {
inline namespace SHOAL_TRUTH_BACK {

inline constexpr int kReadUnder = 8;  // loads of 16 bytes of a thread that are under way
inline constexpr int kReadThreads = 256;
inline constexpr int kRateThreads = 256;

// in [quads] of 16 bytes, a multiple of kReadThreads * kReadUnder; out [ctas * kReadThreads]: the
// exclusive or of what each thread read.
struct Read {
  const void* in;
  std::uint32_t* out;
  std::int64_t quads;
  int ctas;
};
SHOAL_KERNEL void read_all(Read a) {
  const auto* const in = static_cast<const uint4*>(a.in);
  constexpr int kEach = kReadThreads * kReadUnder;
  std::uint32_t all = 0;
  for (std::int64_t at = std::int64_t{block_x()} * kEach; at < a.quads;
       at += std::int64_t{a.ctas} * kEach) {
    uint4 some[kReadUnder];
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kReadUnder; ++i) some[i] = load_once(in + at + i * kReadThreads + thread());
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kReadUnder; ++i) all ^= some[i].x ^ some[i].y ^ some[i].z ^ some[i].w;
  }
  a.out[block_x() * kReadThreads + thread()] = all;
}

// `rounds` of each thread's, or warp's, products; out [ctas * kRateThreads].
struct Rate {
  std::uint32_t* out;
  int rounds;
};
inline constexpr int kFmaChains = 16;  // of a thread, one product each in a round
SHOAL_KERNEL void rate_fma(Rate a) {
  float sums[kFmaChains];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kFmaChains; ++i) sums[i] = static_cast<float>(thread() + i);
  const float by = float_of(0x3f7fff00u + static_cast<std::uint32_t>(block_x() & 1));
  for (int round = 0; round < a.rounds; ++round) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kFmaChains; ++i) sums[i] = fma(sums[i], by, 1.0f);
  }
  a.out[block_x() * threads() + thread()] = bits_of(fold_16(sums));
}

inline constexpr int kMmaChains = 8;  // of a warp
inline constexpr std::int64_t kS8Products = 16 * 8 * 32, kBf16Products = 16 * 8 * 16;
SHOAL_DEVICE std::uint32_t some_bf16(int i) {  // two, of many bits
  const auto draw = static_cast<std::uint32_t>(thread() * 61 + i * 17);
  return 0x3f803f80u ^ (draw & 0x7fu) << 16 ^ (draw * 5 & 0x7fu);
}
SHOAL_KERNEL void rate_mma_bf16(Rate a) {
  float sums[kMmaChains][4];  // that differ, or the compiler makes one of them
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kMmaChains; ++i) {
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j) sums[i][j] = static_cast<float>(thread() + 4 * i + j);
  }
  const std::uint32_t left[4] = {some_bf16(0), some_bf16(1), some_bf16(2), some_bf16(3)};
  const std::uint32_t right[2] = {some_bf16(4), some_bf16(5)};
  for (int round = 0; round < a.rounds; ++round) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kMmaChains; ++i) mma_bf16(sums[i], left, right);
  }
  float sum = 0.0f;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kMmaChains; ++i) sum = add(sum, add(sums[i][0], sums[i][3]));
  a.out[block_x() * threads() + thread()] = bits_of(sum);
}
SHOAL_KERNEL void rate_mma_s8(Rate a) {
  std::int32_t sums[kMmaChains][4];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kMmaChains; ++i) {
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j) sums[i][j] = thread() + 4 * i + j;
  }
  std::uint32_t left[4], right[2];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) left[i] = some_bf16(i) * 2654435761u;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 2; ++i) right[i] = some_bf16(4 + i) * 2654435761u;
  for (int round = 0; round < a.rounds; ++round) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kMmaChains; ++i) mma_s8(sums[i], left, right);
  }
  std::uint32_t all = 0;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kMmaChains; ++i) {
    all =
        all * 3u + static_cast<std::uint32_t>(sums[i][0]) + static_cast<std::uint32_t>(sums[i][3]);
  }
  a.out[block_x() * threads() + thread()] = all;
}

// Takes as long as a kernel takes at least.
struct Nothing {
  std::uint32_t* out;
};
SHOAL_KERNEL void nothing(Nothing a) {
  if (thread() == 0 && block_x() == 0) a.out[0] = 1u;
}

}  // namespace SHOAL_TRUTH_BACK
}  // namespace shoal::kernels::cuda::truth
