// SPDX-License-Identifier: Apache-2.0
#include "node/listen.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace shoal::node {
namespace {

constexpr std::size_t kMaxAddresses = 4;  // more would not fit into a record

std::optional<proto::Endpoint> from_sockaddr(const sockaddr* address) {
  proto::Endpoint result;
  if (address->sa_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
    return proto::Endpoint::v4(bytes, 0);
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  std::memcpy(result.address.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr,
              16);
  return result;
}

// The kernel's choice of source address towards `peer`: connecting a UDP socket sends nothing.
std::optional<proto::Endpoint> source_towards(const proto::Endpoint& peer) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (peer.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(peer.port);
    std::memcpy(&v4.sin_addr, peer.address.data() + 12, 4);
    size = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(peer.port);
    std::memcpy(&v6.sin6_addr, peer.address.data(), 16);
    size = sizeof(v6);
  }
  const int descriptor = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::nullopt;
  std::optional<proto::Endpoint> result;
  if (connect(descriptor, reinterpret_cast<sockaddr*>(&storage), size) == 0 &&
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
    result = from_sockaddr(reinterpret_cast<sockaddr*>(&storage));
  }
  close(descriptor);
  return result;
}

std::vector<proto::Endpoint> interface_addresses(bool v6_too) {
  std::vector<proto::Endpoint> result;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return result;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const auto address = from_sockaddr(entry->ifa_addr);
    if (!address || address->is_loopback() || (!address->is_v4() && !v6_too)) continue;
    const bool link_local_v6 = !address->is_v4() && address->address[0] == 0xfe;
    if (!link_local_v6) result.push_back(*address);
  }
  freeifaddrs(list);
  return result;
}

}  // namespace

std::vector<proto::Endpoint> reachable_addresses(const proto::Endpoint& bound,
                                                 std::span<const proto::Endpoint> join) {
  if (!bound.is_unspecified()) return {bound};
  std::vector<proto::Endpoint> candidates;
  for (const proto::Endpoint& peer : join) {
    if (const auto source = source_towards(peer)) candidates.push_back(*source);
  }
  if (candidates.empty()) candidates = interface_addresses(!bound.is_v4());
  if (candidates.empty()) candidates.push_back(proto::Endpoint::v4({127, 0, 0, 1}, 0));

  std::vector<proto::Endpoint> result;
  for (proto::Endpoint candidate : candidates) {
    candidate.port = bound.port;
    const bool known = std::find(result.begin(), result.end(), candidate) != result.end();
    if (!known && result.size() < kMaxAddresses) result.push_back(candidate);
  }
  return result;
}

bool loopback_swarm(std::span<const proto::Endpoint> others) {
  return !others.empty() &&
         std::all_of(others.begin(), others.end(),
                     [](const proto::Endpoint& other) { return other.is_loopback(); });
}

}  // namespace shoal::node
