// SPDX-License-Identifier: Apache-2.0
// For hash tables of endpoints whose order nothing depends on. Pure.
#pragma once

#include "absl/hash/hash.h"
#include "proto/endpoint.h"

namespace shoal::dht {

struct EndpointHash {
  std::size_t operator()(const proto::Endpoint& endpoint) const {
    return absl::HashOf(endpoint.address, endpoint.port);
  }
};

}  // namespace shoal::dht
