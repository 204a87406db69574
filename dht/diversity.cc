// SPDX-License-Identifier: Apache-2.0
#include "dht/diversity.h"

namespace shoal::dht {
namespace {

// Family and length come first, so that no IPv4 network equals an IPv6 one.
std::uint64_t network(const proto::Endpoint& endpoint, std::size_t v4_bytes, std::size_t v6_bytes) {
  const bool v4 = endpoint.is_v4();
  const auto at = [&](std::size_t byte) { return std::uint64_t{endpoint.address[byte]}; };
  std::uint64_t first = at(12) << 24 | at(13) << 16 | at(14) << 8 | at(15);
  if (!v4) {
    first = at(0) << 56 | at(1) << 48 | at(2) << 40 | at(3) << 32 | at(4) << 24 | at(5) << 16 |
            at(6) << 8 | at(7);
  }
  const std::size_t dropped = v4 ? 4 - v4_bytes : 8 - v6_bytes;
  return std::uint64_t{v4 ? 4u : 6u} << 56 | first >> (8 * dropped);
}

bool is_shared(const proto::Endpoint& endpoint) {
  return endpoint.is_v4() && endpoint.address[12] == 100 && (endpoint.address[13] & 0xc0) == 64;
}

// How far an address can be reached from.
int reach(const proto::Endpoint& endpoint) {
  if (endpoint.is_loopback()) return 0;
  return is_exempt(endpoint) ? 1 : 2;
}

}  // namespace

bool is_exempt(const proto::Endpoint& endpoint) {
  return endpoint.is_private() || is_shared(endpoint);
}

std::uint64_t narrow_network(const proto::Endpoint& endpoint) { return network(endpoint, 3, 6); }

std::uint64_t wide_network(const proto::Endpoint& endpoint) { return network(endpoint, 2, 4); }

bool may_tell(const proto::Endpoint& teller, const proto::Endpoint& told) {
  return reach(told) >= reach(teller);
}

bool NearLimit::admit(const proto::Endpoint& endpoint) {
  if (!config_.enabled || is_exempt(endpoint)) return true;
  const std::uint64_t narrow = narrow_network(endpoint), wide = wide_network(endpoint);
  if (narrow_.count(narrow) >= config_.near_narrow || wide_.count(wide) >= config_.near_wide ||
      silent_.count(narrow) >= config_.near_silent) {
    return false;
  }
  narrow_.add(narrow);
  wide_.add(wide);
  return true;
}

void NearLimit::count_silent(const proto::Endpoint& endpoint) {
  if (config_.enabled && !is_exempt(endpoint)) silent_.add(narrow_network(endpoint));
}

}  // namespace shoal::dht
