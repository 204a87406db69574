// SPDX-License-Identifier: Apache-2.0
// What kernels may call, and nothing else: the compiler for GPUs gives it (gpu/device.cuh), or the
// emulator, which runs kernels on the host with a fiber for each thread. Kernels use no
// cuda_runtime.h, no asm and no standard library but <cstdint>, so that one source has two backs.
//
//   SHOAL_KERNEL void name(Arguments)    a kernel: void, one plain struct by value
//   SHOAL_DEVICE                         a function that kernels call
//   block_x() block_y() block_z()        which CTA; thread(), threads(): within it, one dimension
//   lane(), warp()                       within the warp, within the CTA
//   Shared shared; shared.take<T>(n)     shared memory, 16-byte aligned, taken by all threads alike
//   barrier()                            of the CTA
//   warp_barrier()                       of the warp; orders its memory
//   shuffle_xor(v, mask)                 float or int32, of 32 lanes that all call it; orders
//   nothing copy_async(to, from, valid)          16 bytes into shared memory, zeros where not valid
//   commit_copies(), wait_copies<N>()    groups of them; at most N groups may be under way after it
//   load_once(p)                         16 bytes that are read once: weights, past the first cache
//   mma_s8(d, a, b)                      d[16, 8] += a[16, 32] b[32, 8]: int8 products, exact in
//                                        int32; fragments as PTX m16n8k32 has them
//   mma_bf16(d, a, b)                    d[16, 8] += a[16, 16] b[16, 8]: bf16 into f32, rounded by
//                                        each family of cards in its own way (emulator/mma.h);
//                                        fragments as PTX m16n8k16 has them
//   load_matrices(r, row)                four [8, 8] of 16 bits from shared memory, rows where
//   lanes load_matrices_transposed(r, row)     say: ldmatrix .x4, and with .trans; orders nothing
//   add_mul_fma_...                      f32, rounded to nearest even, fma once; no flush of
//                                        subnormals, no contraction: f32.cuh
#pragma once

#if defined(__CUDACC__)
#include "kernels/cuda/gpu/device.cuh"
#else
#include "kernels/cuda/emulator/device.h"
#endif
