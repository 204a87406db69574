// SPDX-License-Identifier: Apache-2.0
#include "client/network_check.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace shoal::client {
namespace {

// Connecting a datagram socket only looks up the way.
bool has_way_to(const proto::Endpoint& endpoint) {
  sockaddr_storage address{};
  socklen_t size = 0;
  if (endpoint.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, endpoint.address.data() + 12, 4);
    size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    std::memcpy(&v6->sin6_addr, endpoint.address.data(), 16);
    size = sizeof(*v6);
  }
  const int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;  // we cannot tell
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  close(fd);
  return result == 0 || (error != ENETUNREACH && error != ENETDOWN && error != EHOSTUNREACH &&
                         error != EADDRNOTAVAIL);
}

}  // namespace

bool has_way_to_any(const std::vector<proto::Endpoint>& endpoints) {
  return std::any_of(endpoints.begin(), endpoints.end(), has_way_to);
}

std::string why_out_of_reach(const std::vector<proto::Endpoint>& endpoints) {
  if (has_way_to_any(endpoints)) return "";
  const auto is_v4 = [](const proto::Endpoint& address) { return address.is_v4(); };
  const auto v4 = std::count_if(endpoints.begin(), endpoints.end(), is_v4);
  if (v4 == 0) return "has only IPv6 addresses, and this machine has no way to them";
  if (v4 == std::ssize(endpoints))
    return "has only IPv4 addresses, and this machine has no way to them";
  return "has no address that this machine has a way to";
}

}  // namespace shoal::client
