// SPDX-License-Identifier: Apache-2.0
// Two devices that hand over to each other.
#include <utility>

#include "tests/node/devices.h"

namespace shoal::node {

std::vector<DeviceShare> devices_for(std::uint32_t blocks) {
  std::vector<std::unique_ptr<kernels::Executor>> executors;
  for (int i = 0; i < 2; ++i) executors.push_back(kernels::Executor::cpu(1));
  return in_equal_shares(std::move(executors), blocks);
}

}  // namespace shoal::node
