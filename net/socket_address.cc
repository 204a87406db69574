// SPDX-License-Identifier: Apache-2.0
#include "net/socket_address.h"

#include <netinet/in.h>

#include <array>
#include <cstring>

namespace shoal::net {

socklen_t to_system(const proto::Endpoint& endpoint, sockaddr_storage& storage) {
  storage = {};
  if (endpoint.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, endpoint.address.data() + 12, 4);
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(endpoint.port);
  std::memcpy(&v6->sin6_addr, endpoint.address.data(), 16);
  return sizeof(*v6);
}

proto::Endpoint endpoint_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, 4);
    return proto::Endpoint::v4(bytes, ntohs(v4.sin_port));
  }
  proto::Endpoint endpoint;
  if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

}  // namespace shoal::net
