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

}  // namespace

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

}  // namespace shoal::proto
