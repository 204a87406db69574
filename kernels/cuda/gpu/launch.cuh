// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/gpu/context.h"

namespace shoal::kernels::cuda {

template <class Arguments>
void launch(Context& context, Grid grid, int threads, std::size_t shared_bytes,
            void (*kernel)(Arguments), const Arguments& arguments) {
  constexpr std::size_t kAlwaysThere = 48 << 10;
  GpuContext& device = gpu(context);
  if (grid.x * grid.y * grid.z == 0 || !device.use()) return;
  const auto* const address = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > kAlwaysThere && !device.allow_shared(address)) return;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                        static_cast<unsigned>(grid.z));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = device.stream;
  device.launched(cudaLaunchKernelEx(&config, kernel, arguments), address);
}

}  // namespace shoal::kernels::cuda
