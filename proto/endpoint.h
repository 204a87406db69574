// SPDX-License-Identifier: Apache-2.0
// An IP address with a port, as plain data (no DNS, no sockets), in bytes, and in the text form
// HOST:PORT of the command line.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoal::proto {

// IPv4 addresses are kept in IPv6-mapped form (::ffff:a.b.c.d), so that equal addresses compare
// equal.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;

  bool is_v4() const {  // in line: routing asks it for every contact it looks at
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return __builtin_memcmp(address.data(), kMapped, sizeof(kMapped)) == 0;
  }
  bool is_unspecified() const;  // 0.0.0.0 or ::
  bool is_loopback() const;
  // RFC 1918, loopback, link-local, unique local: address-diversity limits do not apply there.
  bool is_private() const;
  // Whether a peer can be there and be sent to: false for port 0, for addresses that name no single
  // machine, for link-local ones of IPv6 (which mean nothing without their interface), and for IPv4
  // addresses dressed up as IPv6.
  bool is_usable() const;
  static Endpoint v4(std::array<std::uint8_t, 4> address, std::uint16_t port);

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// "127.0.0.1:7000" or "[::1]:7000"; numeric addresses only.
absl::StatusOr<Endpoint> parse_endpoint(std::string_view text);
std::string to_string(const Endpoint& endpoint);

// In bytes: 4 or 16 of the address, then the port, big endian.
std::string encode_endpoint(const Endpoint& endpoint);
// nullopt for other sizes, endpoints that nobody can use (is_usable), and IPv4 written as IPv6.
std::optional<Endpoint> decode_endpoint(std::string_view bytes);

// The command line's HOST:PORT: host may be a name, an IPv4 address or an IPv6 address in brackets.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
absl::StatusOr<HostPort> parse_host_port(std::string_view text);

// What an address is wanted for: a peer's, our own as others see it (port 0: the one we listen on),
// or one to listen on (unspecified: all of this machine; port 0: a free one).
enum class AddressUse { kDial, kAnnounce, kListen };

// Whether it can serve that use: INVALID_ARGUMENT says what is wrong with it, and the way out.
// Every address that comes from people goes through here; those that come from peers need
// is_usable().
absl::Status check_address(const Endpoint& endpoint, AddressUse use);
// The same for what people write. A name can only be judged when it is resolved.
absl::Status check_address(std::string_view text, AddressUse use);
// ":7000" is short for [::]:7000 where one listens: all addresses of the machine, of both families.
std::string spelled_out(std::string_view text, AddressUse use);

}  // namespace shoal::proto
