// SPDX-License-Identifier: Apache-2.0
// What a node serves at a time: its facts, and the device that computes its span. Built whole, and
// replaced whole when the node moves to other blocks. Sessions share the one that they were opened
// on, until they are gone. Whoever made it keeps it until nobody else does, and destroys it on a
// thread of its own: the device's threads are joined there.
#pragma once

#include <memory>

#include "node/device/device_thread.h"
#include "node/serve/node_facts.h"

namespace shoal::node {

struct Serving {
  NodeFacts facts;
  std::unique_ptr<DeviceThread> device;
};

}  // namespace shoal::node
