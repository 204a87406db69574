// SPDX-License-Identifier: Apache-2.0
// A contact: a peer and where to reach it. Plain value.
#pragma once

#include <compare>
#include <string>
#include <tuple>

#include "identity/identity.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::dht {

// Compared by peer and endpoint: the key says nothing more, since the peer id is its hash.
struct Contact {
  proto::PeerId peer;
  proto::Endpoint endpoint;
  identity::PublicKey key{};  // all zero while unknown: then only a hello can begin
  friend bool operator==(const Contact& a, const Contact& b) {
    return a.peer == b.peer && a.endpoint == b.endpoint;
  }
  friend auto operator<=>(const Contact& a, const Contact& b) {
    return std::tie(a.peer, a.endpoint) <=> std::tie(b.peer, b.endpoint);
  }
};

struct Datagram {
  proto::Endpoint to;
  std::string bytes;
};

}  // namespace shoal::dht
