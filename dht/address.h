// SPDX-License-Identifier: Apache-2.0
// An endpoint as bytes on the wire: 4 or 16 bytes of address, then the port, big endian. Pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/hash/hash.h"
#include "proto/endpoint.h"

namespace shoal::dht {

std::string encode_address(const proto::Endpoint& endpoint);
// nullopt for other sizes, addresses that nobody can use (Endpoint::is_usable), and IPv4 written as
// IPv6.
std::optional<proto::Endpoint> decode_address(std::string_view bytes);

// For hash tables whose order nothing depends on.
struct EndpointHash {
  std::size_t operator()(const proto::Endpoint& endpoint) const {
    return absl::HashOf(endpoint.address, endpoint.port);
  }
};

}  // namespace shoal::dht
