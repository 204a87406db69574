// SPDX-License-Identifier: Apache-2.0
#include "net/pcp.h"

#include <algorithm>
#include <span>

namespace shoal::net {
namespace {

constexpr std::uint8_t kVersion = 2;
constexpr std::uint8_t kMap = 1;
constexpr std::uint8_t kReplyBit = 0x80;
constexpr std::size_t kLongest = 1100;  // of any PCP message
// Offsets of both directions; the reply has result codes and the epoch where a request has the
// client's address.
constexpr std::size_t kLifetimeAt = 4, kEpochAt = 8, kClientAt = 8, kNonceAt = 24, kProtocolAt = 36,
                      kInternalAt = 40, kExternalAt = 42, kAddressAt = 44;

void put16(std::span<std::uint8_t> out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

void put32(std::span<std::uint8_t> out, std::size_t at, std::uint32_t value) {
  put16(out, at, static_cast<std::uint16_t>(value >> 16));
  put16(out, at + 2, static_cast<std::uint16_t>(value));
}

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t get16(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

std::uint32_t get32(std::string_view bytes, std::size_t at) {
  return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}

}  // namespace

std::array<std::uint8_t, kPcpMapBytes> pcp_map_request(const PcpMapRequest& request) {
  std::array<std::uint8_t, kPcpMapBytes> out{};
  out[0] = kVersion;
  out[1] = kMap;
  put32(out, kLifetimeAt, request.lifetime_s);
  std::ranges::copy(request.client.address, out.begin() + kClientAt);
  std::ranges::copy(request.nonce, out.begin() + kNonceAt);
  out[kProtocolAt] = request.protocol;
  put16(out, kInternalAt, request.client.port);
  put16(out, kExternalAt, request.wanted.port);
  std::ranges::copy(request.wanted.address, out.begin() + kAddressAt);
  return out;
}

std::optional<PcpReply> parse_pcp_reply(std::string_view bytes) {
  if (bytes.size() < 4 || bytes.size() > kLongest) return std::nullopt;
  PcpReply reply;
  reply.version = byte_at(bytes, 0);
  if ((byte_at(bytes, 1) & kReplyBit) == 0) return std::nullopt;
  if (reply.version == 0) {  // NAT-PMP: a result of 16 bits, here "unsupported version"
    const std::uint16_t result = get16(bytes, 2);
    reply.result = static_cast<std::uint8_t>(std::min<std::uint16_t>(result, 0xff));
    return reply;
  }
  if (reply.version != kVersion || bytes.size() < kPcpMapBytes || bytes.size() % 4 != 0 ||
      byte_at(bytes, 1) != (kReplyBit | kMap)) {
    return std::nullopt;
  }
  reply.result = byte_at(bytes, 3);
  reply.lifetime_s = get32(bytes, kLifetimeAt);
  reply.epoch_s = get32(bytes, kEpochAt);
  std::copy_n(bytes.begin() + kNonceAt, reply.nonce.size(), reply.nonce.begin());
  reply.protocol = byte_at(bytes, kProtocolAt);
  reply.internal_port = get16(bytes, kInternalAt);
  std::copy_n(bytes.begin() + kAddressAt, reply.external.address.size(),
              reply.external.address.begin());
  reply.external.port = reply.result == 0 ? get16(bytes, kExternalAt) : std::uint16_t{0};
  return reply;
}

const char* pcp_result_words(std::uint8_t result) {
  switch (result) {
    case 0:
      return "done";
    case 1:
      return "the router speaks another version";
    case 2:
      return "the router does not allow it";
    case 8:
      return "the router has no room for another mapping";
    case 11:
      return "that port is taken, or is not the router's to give";
    case 12:
      return "the router is asked by another address than ours: there is one more router between";
    case 7:
      return "the router has no connection";
    default:
      return "the router refuses";
  }
}

bool EpochWatch::lost(std::uint32_t epoch_s, Time now) {
  const bool first = !known_;
  const std::uint32_t before = epoch_s_;
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(now - at_).count();
  known_ = true;
  epoch_s_ = epoch_s;
  at_ = now;
  if (first) return false;
  const std::int64_t theirs = std::int64_t{epoch_s} - std::int64_t{before};
  if (theirs < -1) return true;
  // Both clocks may differ by a sixteenth, and by two seconds.
  return passed + 2 < theirs - theirs / 16 || theirs + 2 < passed - passed / 16;
}

}  // namespace shoal::net
