// SPDX-License-Identifier: Apache-2.0
// What a node of these tests computes on: a program for each list of devices links the same bodies
// with another source of this function.
#pragma once

#include <cstdint>
#include <vector>

#include "node/device/executors.h"

namespace shoal::node {

// For a span of so many blocks; none: the CPU.
std::vector<DeviceShare> devices_for(std::uint32_t blocks);

}  // namespace shoal::node
