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
  std::vector<std::unique_ptr<Executor>> executors;  // empty: `line` says why, and names --device
  std::string line;  // for the log: what is used; on the CPU by `auto`, why it is no GPU
};

// `cpu_threads` as Executor::cpu takes it. Nothing of CUDA is touched where the CPU is chosen.
OpenedDevices open_devices(const DeviceChoice& choice, int cpu_threads);
// Of this library, which must outlive the executors and their buffers, as own_library() does.
OpenedDevices open_devices(const DeviceChoice& choice, int cpu_threads, const Library& library);

}  // namespace shoal::kernels::cuda
