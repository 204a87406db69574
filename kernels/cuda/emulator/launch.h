// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/emulator/context.h"

namespace shoal::kernels::cuda {

template <class Arguments>
void launch(Context& context, Grid grid, int threads, std::size_t shared_bytes,
            void (*kernel)(Arguments), const Arguments& arguments) {
  if (grid.x * grid.y * grid.z == 0) return;
  emulator::EmulatedContext& device = emulator::emulated(context);
  const emulator::Index3 ctas{static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                              static_cast<unsigned>(grid.z)};
  device.queue([&device, ctas, threads, shared_bytes, kernel, arguments] {
    device.machine().run(ctas, static_cast<unsigned>(threads), shared_bytes,
                         [&] { kernel(arguments); });
  });
}

}  // namespace shoal::kernels::cuda
