// SPDX-License-Identifier: Apache-2.0
// Who asks through a connection instead of by UDP has an endpoint of its own kind: made of where
// the connection comes from and of its number, shaped like a multicast address, so that no datagram
// comes from it, none goes there by mistake, and nobody takes it for an address of a peer
// (Endpoint::is_usable() is false). Its first bits are those of the true address, as far as the
// limits per address and network look. Pure functions.
#pragma once

#include <cstdint>

#include "proto/endpoint.h"

namespace shoal::dht {

// `from`: the other end of the connection. Connections of one process have different numbers.
proto::Endpoint tunnel_endpoint(const proto::Endpoint& from, std::uint64_t connection);
bool is_tunnel(const proto::Endpoint& endpoint);

}  // namespace shoal::dht
