// SPDX-License-Identifier: Apache-2.0
// A contact: a peer and where to reach it. Plain value.
#pragma once

#include <compare>
#include <string>

#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::dht {

struct Contact {
  proto::PeerId peer;
  proto::Endpoint endpoint;
  friend auto operator<=>(const Contact&, const Contact&) = default;
};

struct Datagram {
  proto::Endpoint to;
  std::string bytes;
};

}  // namespace shoal::dht
