// SPDX-License-Identifier: Apache-2.0
// A model that nodes say they serve, and those nodes: whom to ask for its manifest. Plain value.
#pragma once

#include <vector>

#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::proto {

struct ServedModel {
  struct Node {
    PeerId peer;
    std::vector<Endpoint> addresses;
  };
  Digest digest;
  std::vector<Node> nodes;
};

}  // namespace shoal::proto
