// SPDX-License-Identifier: Apache-2.0
// Two emulated GPUs that hand over to each other, and do their work when they are asked for it.
#include <utility>

#include "base/check.h"
#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "tests/node/devices.h"

namespace shoal::node {

std::vector<DeviceShare> devices_for(std::uint32_t blocks) {
  namespace cuda = kernels::cuda;
  std::vector<std::unique_ptr<kernels::Executor>> executors;
  for (const std::uint64_t seed : {1, 2}) {
    cuda::CudaExecutor::Opened opened = cuda::CudaExecutor::open(
        cuda::emulator::module({.machine = {.seed = seed, .late_copies = true}, .late_work = true}),
        0);
    CHECK(opened.executor != nullptr) << opened.why;
    executors.push_back(std::move(opened.executor));
  }
  return in_equal_shares(std::move(executors), blocks);
}

}  // namespace shoal::node
