// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/emulator/context.h"

namespace shoal::kernels::cuda {

template <class Arguments>
void launch(Context& context, Grid grid, int threads, std::size_t shared_bytes,
            void (*kernel)(Arguments), const Arguments& arguments) {
  if (grid.x * grid.y * grid.z == 0) return;
  emulator::EmulatedContext& device = emulator::emulated(context);
  device.queue([&device, grid, threads, shared_bytes, kernel, arguments] {
    device.count_launch();
    device.machine().run({grid.x, grid.y, grid.z}, threads, shared_bytes,
                         [&] { kernel(arguments); });
  });
}

}  // namespace shoal::kernels::cuda
