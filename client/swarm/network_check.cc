// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/network_check.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/socket_address.h"

namespace shoal::client {
namespace {

// Connecting a datagram socket only looks up the way.
bool has_way_to(const proto::Endpoint& endpoint) {
  sockaddr_storage address;
  const socklen_t size = net::to_system(endpoint, address);
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

std::string why_out_of_reach(const std::vector<proto::Address>& addresses) {
  std::vector<proto::Endpoint> endpoints;  // of nodes and relays
  endpoints.reserve(addresses.size());
  for (const proto::Address& address : addresses) endpoints.push_back(address.endpoint);
  if (has_way_to_any(endpoints)) return "";
  const auto is_v4 = [](const proto::Endpoint& address) { return address.is_v4(); };
  const auto v4 = std::count_if(endpoints.begin(), endpoints.end(), is_v4);
  if (v4 == 0) return "has only IPv6 addresses, and this machine has no way to them";
  if (v4 == std::ssize(endpoints))
    return "has only IPv4 addresses, and this machine has no way to them";
  return "has no address that this machine has a way to";
}

}  // namespace shoal::client
