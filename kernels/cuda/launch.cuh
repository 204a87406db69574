// SPDX-License-Identifier: Apache-2.0
// Queues a kernel on a context's device: launch(context, {grid}, threads, shared bytes, kernel,
// arguments). A grid of nothing is nothing. Arguments are plain structs, copied.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/context.h"
#include "kernels/cuda/device.cuh"

namespace shoal::kernels::cuda {

struct Grid {
  std::int64_t x = 1, y = 1, z = 1;
};

template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace shoal::kernels::cuda

#if defined(__CUDACC__)
#include "kernels/cuda/gpu/launch.cuh"
#else
#include "kernels/cuda/emulator/launch.h"
#endif
