// SPDX-License-Identifier: Apache-2.0
// From what --device says to executors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/device_choice.h"
#include "kernels/cuda/library.h"
#include "kernels/executor.h"

namespace shoal::kernels::cuda {

struct OpenedDevices {
  bool refused = false;                         // what was asked for cannot be had
  std::vector<std::unique_ptr<Executor>> gpus;  // none: the CPU
  // For the log: what is used; on the CPU by `auto`, why it is no GPU. For the user, where refused:
  // why, and the name of the option.
  std::string line;
};

// Nothing of CUDA is touched where the CPU is chosen.
OpenedDevices open_devices(const DeviceChoice& choice);
// Of this library, which must outlive the executors and their buffers, as own_library() does.
OpenedDevices open_devices(const DeviceChoice& choice, const Library& library);

}  // namespace shoal::kernels::cuda
