// SPDX-License-Identifier: Apache-2.0
// HTTP/2 and gRPC bytes by hand, good and bad. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/frame_walker.h"

namespace shoal::attack {

inline std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

inline std::string frame_of_length(std::size_t length, std::uint8_t type, std::uint8_t flags,
                                   std::uint32_t stream) {
  std::string out = big_endian(length, 3);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  return out + big_endian(stream, 4);
}

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                         std::string_view payload = {}) {
  return frame_of_length(payload.size(), type, flags, stream).append(payload);
}

inline std::string preface() { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; }

inline std::string setting(std::uint16_t id, std::uint32_t value) {
  return big_endian(id, 2) + big_endian(value, 4);
}

inline std::string settings(std::string_view entries = {}) {
  return frame(net::kSettings, 0, 0, entries);
}

inline std::string window_update(std::uint32_t stream, std::uint32_t increment) {
  return frame(net::kWindowUpdate, 0, stream, big_endian(increment, 4));
}

inline std::string rst_stream(std::uint32_t stream) {
  return frame(net::kRstStream, 0, stream, big_endian(8, 4));  // CANCEL
}

// HPACK: a literal that enters no table; lengths below 127.
inline std::string literal(std::string_view name, std::string_view value) {
  std::string out("\0", 1);
  out.push_back(static_cast<char>(name.size()));
  out.append(name);
  out.push_back(static_cast<char>(value.size()));
  return out.append(value);
}

// The header block of a gRPC call.
inline std::string call_headers(std::string_view path) {
  return "\x83\x86" + literal(":path", path) + literal(":authority", "peer.shoal") +
         literal("content-type", "application/grpc") + literal("te", "trailers");
}

inline std::string headers(std::uint32_t stream, std::string_view block,
                           std::uint8_t flags = net::kFlagEndHeaders) {
  return frame(net::kHeaders, flags, stream, block);
}

// What gRPC puts before each message.
inline std::string message_prefix(std::uint32_t length) {
  return std::string("\0", 1) + big_endian(length, 4);
}

inline std::string data(std::uint32_t stream, std::string_view payload, std::uint8_t flags = 0) {
  return frame(net::kData, flags, stream, payload);
}

inline constexpr char kDescribe[] = "/shoal.wire.SpanService/Describe";
inline constexpr char kSession[] = "/shoal.wire.SpanService/Session";

}  // namespace shoal::attack
