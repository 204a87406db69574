// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/gpu/context.cuh"

namespace shoal::kernels::cuda {

template <class Arguments>
void launch(Context& context, Grid grid, int threads, std::size_t shared_bytes,
            void (*kernel)(Arguments), const Arguments& arguments) {
  constexpr std::size_t kAlwaysThere = 48 << 10;
  GpuContext& device = gpu(context);
  if (!device.works() || grid.x * grid.y * grid.z == 0) return;
  if (shared_bytes > kAlwaysThere &&
      !device.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         static_cast<int>(shared_bytes)),
                    "shared memory")) {
    return;
  }
  kernel<<<dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                static_cast<unsigned>(grid.z)),
           static_cast<unsigned>(threads), shared_bytes, device.stream>>>(arguments);
  device.check(cudaGetLastError(), "a launch");
}

}  // namespace shoal::kernels::cuda
