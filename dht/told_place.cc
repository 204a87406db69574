// SPDX-License-Identifier: Apache-2.0
#include "dht/told_place.h"

#include <algorithm>

#include "dht/diversity.h"

namespace shoal::dht {

const proto::Address& told_address(std::span<const proto::Address> addresses) {
  const auto open = std::ranges::find_if(addresses, [](const proto::Address& address) {
    return address.is_direct() && !is_exempt(address.endpoint);
  });
  if (open != addresses.end()) return *open;
  const auto relayed = std::ranges::find_if(
      addresses, [](const proto::Address& address) { return !address.is_direct(); });
  return relayed != addresses.end() ? *relayed : addresses.front();
}

std::string told_place(std::span<const proto::Address> addresses) {
  if (addresses.empty()) return "-";
  const proto::Address& told = told_address(addresses);
  return (told.is_direct() ? "" : "via relay ") + proto::to_string(told.endpoint);
}

std::string at_told_place(std::span<const proto::Address> addresses) {
  const std::string place = told_place(addresses);
  return addresses.empty() || told_address(addresses).is_direct() ? "at " + place : place;
}

}  // namespace shoal::dht
