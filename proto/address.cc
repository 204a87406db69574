// SPDX-License-Identifier: Apache-2.0
#include "proto/address.h"

#include "absl/strings/str_cat.h"

namespace shoal::proto {
namespace {

// The first byte. The family follows from the size.
constexpr char kDirect = 1;
constexpr char kRelayed = 2;

}  // namespace

Address Address::through(const PeerId& relay, const Endpoint& at) {
  Address address(at);
  address.relay = relay;
  return address;
}

std::string to_string(const Address& address) {
  if (address.is_direct()) return to_string(address.endpoint);
  return absl::StrCat("via ", short_name(*address.relay), " at ", to_string(address.endpoint));
}

std::vector<Endpoint> direct_endpoints(std::span<const Address> addresses) {
  std::vector<Endpoint> direct;
  for (const Address& address : addresses) {
    if (address.is_direct()) direct.push_back(address.endpoint);
  }
  return direct;
}

std::string encode_address(const Address& address) {
  return absl::StrCat(std::string(1, address.is_direct() ? kDirect : kRelayed),
                      address.is_direct() ? "" : address.relay->to_bytes(),
                      encode_endpoint(address.endpoint));
}

bool is_known_address_kind(std::string_view bytes) {
  return !bytes.empty() && (bytes[0] == kDirect || bytes[0] == kRelayed);
}

std::optional<Address> decode_address(std::string_view bytes) {
  if (!is_known_address_kind(bytes)) return std::nullopt;
  const std::size_t relay_bytes = bytes[0] == kRelayed ? PeerId::kSize : 0;
  if (bytes.size() < 1 + relay_bytes) return std::nullopt;
  const auto endpoint = decode_endpoint(bytes.substr(1 + relay_bytes));
  if (!endpoint) return std::nullopt;
  if (relay_bytes == 0) return Address(*endpoint);
  return Address::through(*PeerId::from_bytes(bytes.substr(1, relay_bytes)), *endpoint);
}

}  // namespace shoal::proto
