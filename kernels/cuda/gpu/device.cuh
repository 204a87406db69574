// SPDX-License-Identifier: Apache-2.0
// What kernels may call, as nvcc's: see kernels/cuda/device.cuh. Compiled with -fmad=false, without
// fast math.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#define SHOAL_KERNEL __global__
#define SHOAL_DEVICE __device__ __forceinline__
#define SHOAL_DEVICE_UNROLL _Pragma("unroll")
// At most so many threads, and registers for so many CTAs at once.
#define SHOAL_BOUNDS(threads, ctas) __launch_bounds__(threads, ctas)

namespace shoal::kernels::cuda {

SHOAL_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
SHOAL_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
SHOAL_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
SHOAL_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
SHOAL_DEVICE int threads() { return static_cast<int>(blockDim.x); }
SHOAL_DEVICE int lane() { return thread() & 31; }
SHOAL_DEVICE int warp() { return thread() >> 5; }

SHOAL_DEVICE float add(float a, float b) { return __fadd_rn(a, b); }
SHOAL_DEVICE float sub(float a, float b) { return __fsub_rn(a, b); }
SHOAL_DEVICE float mul(float a, float b) { return __fmul_rn(a, b); }
SHOAL_DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SHOAL_DEVICE float div(float a, float b) { return __fdiv_rn(a, b); }
SHOAL_DEVICE float sqrt(float a) { return __fsqrt_rn(a); }
SHOAL_DEVICE float float_of(std::uint32_t bits) { return __uint_as_float(bits); }
SHOAL_DEVICE std::uint32_t bits_of(float value) { return __float_as_uint(value); }
SHOAL_DEVICE float from_f16(std::uint16_t half) {
  float value;
  asm("{ .reg .f16 h; mov.b16 h, %1; cvt.f32.f16 %0, h; }" : "=f"(value) : "h"(half));
  return value;
}

SHOAL_DEVICE void barrier() { __syncthreads(); }
SHOAL_DEVICE void warp_barrier() { __syncwarp(); }
SHOAL_DEVICE float shuffle_xor(float v, int mask) { return __shfl_xor_sync(~0u, v, mask); }
SHOAL_DEVICE std::int32_t shuffle_xor(std::int32_t v, int mask) {
  return __shfl_xor_sync(~0u, v, mask);
}

class Shared {
 public:
  SHOAL_DEVICE Shared() {
    extern __shared__ __align__(128) char memory[];
    at_ = memory;
  }
  template <class T>
  SHOAL_DEVICE T* take(int count) {
    T* const taken = reinterpret_cast<T*>(at_);
    at_ += (static_cast<int>(sizeof(T)) * count + 15) / 16 * 16;
    return taken;
  }

 private:
  char* at_;
};

SHOAL_DEVICE void copy_async(void* to, const void* from, bool valid) {
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
SHOAL_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kUnderWay>
SHOAL_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnderWay) : "memory");
}

SHOAL_DEVICE uint4 load_once(const uint4* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

SHOAL_DEVICE void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, "
      "%9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

SHOAL_DEVICE void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

SHOAL_DEVICE void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

SHOAL_DEVICE void load_matrices(std::uint32_t (&r)[4], const void* row) {
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}
SHOAL_DEVICE void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  const auto shared = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}

}  // namespace shoal::kernels::cuda
