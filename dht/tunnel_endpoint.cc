// SPDX-License-Identifier: Apache-2.0
#include "dht/tunnel_endpoint.h"

#include <algorithm>

namespace shoal::dht {
namespace {

// ff00::/8 with a flag that RFC 4291 reserves, and the family of the true address.
constexpr std::uint8_t kMulticast = 0xff;
constexpr std::uint8_t kOfV4 = 0xd4;
constexpr std::uint8_t kOfV6 = 0xd6;

}  // namespace

proto::Endpoint tunnel_endpoint(const proto::Endpoint& from, std::uint64_t connection) {
  proto::Endpoint result;
  result.port = 1;  // none has port 0
  auto& to = result.address;
  to[0] = kMulticast;
  if (from.is_v4()) {
    // The limits look at /64 and /48 (dht/limiter.h): there they find the address and its /24.
    to[1] = kOfV4;
    std::copy_n(from.address.begin() + 12, 3, to.begin() + 2);
    to[6] = from.address[15];
  } else {
    to[1] = kOfV6;
    std::copy_n(from.address.begin(), 6, to.begin() + 2);
  }
  for (std::size_t i = 0; i < 8; ++i) to[15 - i] = static_cast<std::uint8_t>(connection >> (8 * i));
  return result;
}

bool is_tunnel(const proto::Endpoint& endpoint) {
  return endpoint.address[0] == kMulticast &&
         (endpoint.address[1] == kOfV4 || endpoint.address[1] == kOfV6);
}

}  // namespace shoal::dht
