// SPDX-License-Identifier: Apache-2.0
#include "dht/address.h"

namespace shoal::dht {

std::string encode_address(const proto::Endpoint& endpoint) {
  const auto begin = endpoint.address.begin() + (endpoint.is_v4() ? 12 : 0);
  std::string bytes(begin, endpoint.address.end());
  bytes += static_cast<char>(endpoint.port >> 8);
  bytes += static_cast<char>(endpoint.port & 0xff);
  return bytes;
}

std::optional<proto::Endpoint> decode_address(std::string_view bytes) {
  if (bytes.size() != 6 && bytes.size() != 18) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const auto port =
      static_cast<std::uint16_t>(byte(bytes.size() - 2) << 8 | byte(bytes.size() - 1));
  proto::Endpoint endpoint;
  if (bytes.size() == 6) {
    endpoint = proto::Endpoint::v4({byte(0), byte(1), byte(2), byte(3)}, port);
  } else {
    for (std::size_t i = 0; i < 16; ++i) endpoint.address[i] = byte(i);
    endpoint.port = port;
    if (endpoint.is_v4()) return std::nullopt;  // one spelling per address
  }
  if (!endpoint.is_usable()) return std::nullopt;
  return endpoint;
}

}  // namespace shoal::dht
