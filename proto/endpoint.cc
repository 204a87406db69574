// SPDX-License-Identifier: Apache-2.0
#include "proto/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace shoal::proto {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Text that people or peers wrote, fit for a message on a terminal.
std::string shown(std::string_view text) {
  std::string result(text.substr(0, 300));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

absl::Status bad_address(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", shown(text),
      "\" is not an address: write HOST:PORT, for example 127.0.0.1:7000 or [::1]:7000"));
}

// Letters of names and addresses; no zero byte, space, slash or bracket that a resolver might read
// in its own way.
bool is_host_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '-' || c == '_' || c == ':';
}

// Whose 16 bytes begin with these.
template <std::size_t N>
bool begins(const Endpoint& endpoint, const std::array<std::uint8_t, N>& prefix) {
  return std::equal(prefix.begin(), prefix.end(), endpoint.address.begin());
}

// IPv4 addresses in other clothes, and where in the 16 bytes they stand: 0 when it is none.
std::size_t embedded_v4_at(const Endpoint& endpoint) {
  constexpr std::array<std::uint8_t, 2> kSixToFour = {0x20, 0x02};
  // RFC 6052; DNS64 makes such addresses, and hosts without IPv4 reach others by them.
  constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  if (begins(endpoint, kSixToFour)) return 2;
  return begins(endpoint, kNat64) ? 12 : 0;
}

// What is wrong with the address itself; nullptr when nothing is.
const char* fault_of_v4(const Endpoint& endpoint) {
  const std::uint8_t first = endpoint.address[12];
  if (first == 0) return "addresses that begin with 0 belong to no machine";
  if (first < 224) return nullptr;
  if (first < 240) return "it is a multicast address, which names no single machine";
  const bool broadcast = std::all_of(endpoint.address.begin() + 12, endpoint.address.end(),
                                     [](std::uint8_t byte) { return byte == 0xff; });
  return broadcast ? "it is the broadcast address, which names no single machine"
                   : "addresses from 240.0.0.0 on are reserved and belong to no machine";
}

const char* fault_of_v6(const Endpoint& endpoint) {
  const auto& a = endpoint.address;
  if (a[0] == 0xff) return "it is a multicast address, which names no single machine";
  if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
    return "it is a link-local address, which means nothing without its network interface";
  constexpr std::array<std::uint8_t, 12> kCompatible = {};
  constexpr std::array<std::uint8_t, 12> kTranslated = {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<std::uint8_t, 8> kDiscard = {0x01};
  if ((begins(endpoint, kCompatible) && !endpoint.is_loopback()) || begins(endpoint, kTranslated))
    return "it is an IPv4 address written as an IPv6 one, which nothing routes";
  if (begins(endpoint, kDiscard)) return "its network (100::/64) exists to discard packets";
  if (const std::size_t at = embedded_v4_at(endpoint)) {
    const Endpoint inner = Endpoint::v4({a[at], a[at + 1], a[at + 2], a[at + 3]}, 1);
    if (inner.is_private() || fault_of_v4(inner) != nullptr)
      return "the IPv4 address inside it cannot be reached over the Internet";
  }
  return nullptr;
}

const char* fault_of(const Endpoint& endpoint) {
  return endpoint.is_v4() ? fault_of_v4(endpoint) : fault_of_v6(endpoint);
}

// Two sentences' worth: what is wrong, and what to do instead.
absl::Status unusable(const Endpoint& endpoint, std::string_view why, AddressUse use) {
  const char* way_out = use == AddressUse::kListen
                            ? "listen on an address of this machine, or on 0.0.0.0 or [::] for all"
                        : use == AddressUse::kAnnounce
                            ? "give the one address at which others reach this node"
                            : "give an address at which a node listens";
  return absl::InvalidArgumentError(
      absl::StrCat(to_string(endpoint), " cannot be used: ", std::string(why), "; ", way_out));
}

}  // namespace

bool Endpoint::is_usable() const { return port != 0 && fault_of(*this) == nullptr; }

absl::Status check_address(const Endpoint& endpoint, AddressUse use) {
  if (endpoint.is_unspecified()) {
    if (use == AddressUse::kListen) return absl::OkStatus();
    return unusable(endpoint, "it means every address of a machine and names none", use);
  }
  if (const char* fault = fault_of(endpoint)) return unusable(endpoint, fault, use);
  if (use == AddressUse::kDial && endpoint.port == 0)
    return unusable(endpoint, "nothing listens on port 0", use);
  return absl::OkStatus();
}

std::string spelled_out(std::string_view text, AddressUse use) {
  const bool is_short = use == AddressUse::kListen && !text.empty() && text.front() == ':';
  return absl::StrCat(is_short ? "[::]" : "", std::string(text));
}

absl::Status check_address(std::string_view written, AddressUse use) {
  const std::string text = spelled_out(written, use);
  if (const auto numeric = parse_endpoint(text); numeric.ok()) return check_address(*numeric, use);
  const auto host_port = parse_host_port(text);
  if (!host_port.ok()) return host_port.status();
  if (use == AddressUse::kDial && host_port->port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(host_port->host,
                     ":0 cannot be used: nothing listens on port 0; name the port "
                     "of a running node"));
  }
  return absl::OkStatus();
}

bool Endpoint::is_unspecified() const {
  const auto from = is_v4() ? address.begin() + 12 : address.begin();
  return std::all_of(from, address.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool Endpoint::is_loopback() const {
  if (is_v4()) return address[12] == 127;
  return std::all_of(address.begin(), address.end() - 1,
                     [](std::uint8_t byte) { return byte == 0; }) &&
         address[15] == 1;
}

bool Endpoint::is_private() const {
  if (is_loopback()) return true;
  if (is_v4()) {
    const std::uint8_t a = address[12];
    const std::uint8_t b = address[13];
    return a == 10 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) ||
           (a == 169 && b == 254);
  }
  return (address[0] & 0xfe) == 0xfc || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80);
}

Endpoint Endpoint::v4(std::array<std::uint8_t, 4> address, std::uint16_t port) {
  Endpoint result;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), result.address.begin());
  std::copy(address.begin(), address.end(), result.address.begin() + 12);
  result.port = port;
  return result;
}

absl::StatusOr<HostPort> parse_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad_address(text);
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return bad_address(text);
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) return bad_address(text);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_address(text);  // an IPv6 address without brackets is ambiguous
  }
  if (host.find('%') != std::string_view::npos && host.find(':') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", shown(text),
                     "\" is an address with a zone, which only this machine understands: give a "
                     "global, unique local or IPv4 address of that machine"));
  }
  if (!std::all_of(host.begin(), host.end(), is_host_character)) return bad_address(text);
  HostPort result;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), result.port);
  if (error != std::errc() || end != port_text.data() + port_text.size() || host.size() > 253) {
    return bad_address(text);
  }
  result.host = std::string(host);
  return result;
}

absl::StatusOr<Endpoint> parse_endpoint(std::string_view text) {
  const auto host_port = parse_host_port(text);
  if (!host_port.ok()) return host_port.status();
  in_addr v4{};
  if (inet_pton(AF_INET, host_port->host.c_str(), &v4) == 1) {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4, 4);
    return Endpoint::v4(bytes, host_port->port);
  }
  Endpoint result;
  if (inet_pton(AF_INET6, host_port->host.c_str(), result.address.data()) != 1)
    return bad_address(text);
  result.port = host_port->port;
  return result;
}

std::string to_string(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = {};
  if (endpoint.is_v4()) {
    inet_ntop(AF_INET, endpoint.address.data() + 12, text, sizeof(text));
    return absl::StrCat(text, ":", endpoint.port);
  }
  inet_ntop(AF_INET6, endpoint.address.data(), text, sizeof(text));
  return absl::StrCat("[", text, "]:", endpoint.port);
}

std::string encode_endpoint(const Endpoint& endpoint) {
  const auto begin = endpoint.address.begin() + (endpoint.is_v4() ? 12 : 0);
  std::string bytes(begin, endpoint.address.end());
  bytes += static_cast<char>(endpoint.port >> 8);
  bytes += static_cast<char>(endpoint.port & 0xff);
  return bytes;
}

std::optional<Endpoint> decode_endpoint(std::string_view bytes) {
  if (bytes.size() != 6 && bytes.size() != 18) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const auto port =
      static_cast<std::uint16_t>(byte(bytes.size() - 2) << 8 | byte(bytes.size() - 1));
  Endpoint endpoint;
  if (bytes.size() == 6) {
    endpoint = Endpoint::v4({byte(0), byte(1), byte(2), byte(3)}, port);
  } else {
    for (std::size_t i = 0; i < 16; ++i) endpoint.address[i] = byte(i);
    endpoint.port = port;
    if (endpoint.is_v4()) return std::nullopt;  // one spelling per address
  }
  if (!endpoint.is_usable()) return std::nullopt;
  return endpoint;
}

}  // namespace shoal::proto
