// SPDX-License-Identifier: Apache-2.0
// What kernels may call, on the host: see kernels/cuda/device.cuh. Each function speaks for the
// thread of the GPU whose fiber runs (machine.h).
#pragma once

#include <cstdint>

#include "base/half.h"
#include "kernels/cuda/emulator/machine.h"
#include "kernels/cuda/emulator/mma.h"

#define SHOAL_KERNEL
#define SHOAL_DEVICE inline
#define SHOAL_DEVICE_UNROLL
#define SHOAL_BOUNDS(threads, ctas)

namespace shoal::kernels::cuda {

struct alignas(8) uint2 {
  std::uint32_t x, y;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

inline int block_x() { return static_cast<int>(emulator::cta().x); }
inline int block_y() { return static_cast<int>(emulator::cta().y); }
inline int block_z() { return static_cast<int>(emulator::cta().z); }
inline int thread() { return emulator::thread(); }
inline int threads() { return emulator::threads(); }
inline int lane() { return thread() & 31; }
inline int warp() { return thread() >> 5; }

inline float add(float a, float b) { return a + b; }
inline float sub(float a, float b) { return a - b; }
inline float mul(float a, float b) { return a * b; }
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float div(float a, float b) { return a / b; }
inline float sqrt(float a) { return __builtin_sqrtf(a); }
inline float float_of(std::uint32_t bits) { return base::float_of(bits); }
inline std::uint32_t bits_of(float value) { return base::bits_of(value); }
inline float from_f16(std::uint16_t half) { return base::from_f16(half); }

inline void barrier() { emulator::barrier(); }
inline void warp_barrier() { emulator::warp_barrier(); }
inline float shuffle_xor(float v, int mask) {
  return float_of(emulator::shuffle_xor(bits_of(v), mask));
}
inline std::int32_t shuffle_xor(std::int32_t v, int mask) {
  return static_cast<std::int32_t>(emulator::shuffle_xor(static_cast<std::uint32_t>(v), mask));
}

class Shared {
 public:
  template <class T>
  T* take(int count) {
    return static_cast<T*>(emulator::take_shared(sizeof(T) * static_cast<std::size_t>(count)));
  }
};

inline void copy_async(void* to, const void* from, bool valid) {
  emulator::copy_async(to, from, valid);
}
inline void commit_copies() { emulator::commit_copies(); }
template <int kUnderWay>
void wait_copies() {
  emulator::wait_copies(kUnderWay);
}

inline uint4 load_once(const uint4* p) {
  emulator::check_aligned(p, 16);
  return *p;
}

inline void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulator::mma_s8(d, a, b);
}
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulator::mma_bf16(d, a, b);
}
inline void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulator::mma_f16(d, a, b);
}
inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  emulator::load_matrices(r, row, false);
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  emulator::load_matrices(r, row, true);
}

}  // namespace shoal::kernels::cuda
