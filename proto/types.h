// SPDX-License-Identifier: Apache-2.0
// The vocabulary that every room from proto/ down shares: block numbers, spans and fixed-size
// identifiers. Plain values, no thread rule. Words as in docs/design.md, section 2.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoal::proto {

using BlockIndex = std::uint32_t;

// Half-open range of transformer blocks [begin, end).
struct Span {
  BlockIndex begin = 0;
  BlockIndex end = 0;

  std::uint32_t size() const { return end > begin ? end - begin : 0; }
  bool empty() const { return end <= begin; }
  bool contains(BlockIndex block) const { return begin <= block && block < end; }
  bool contains(Span other) const { return begin <= other.begin && other.end <= end; }
  friend auto operator<=>(const Span&, const Span&) = default;
};

// "B:E" with B < E, decimal. The error names the text and the form.
absl::StatusOr<Span> parse_span(std::string_view text);
std::string to_string(Span span);

// A byte string of fixed size; Tag keeps the kinds apart.
template <std::size_t N, typename Tag>
struct FixedBytes {
  static constexpr std::size_t kSize = N;
  static_assert(N % 8 == 0, "compared by words");
  std::array<std::uint8_t, N> bytes{};

  // The 8 bytes from `index` on as a big-endian number: what orders them, eight at a time.
  std::uint64_t word(std::size_t index) const {
    std::uint64_t value;
    std::memcpy(&value, bytes.data() + index, sizeof(value));
    return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
  }

  friend bool operator==(const FixedBytes& a, const FixedBytes& b) {
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < N; i += 8) difference |= a.word(i) ^ b.word(i);
    return difference == 0;
  }
  friend std::strong_ordering operator<=>(const FixedBytes& a, const FixedBytes& b) {
    for (std::size_t i = 0; i < N; i += 8) {
      if (a.word(i) != b.word(i)) return a.word(i) <=> b.word(i);
    }
    return std::strong_ordering::equal;
  }

  // nullopt unless `data` has exactly N bytes.
  static std::optional<FixedBytes> from_bytes(std::string_view data) {
    if (data.size() != N) return std::nullopt;
    FixedBytes result;
    for (std::size_t i = 0; i < N; ++i) result.bytes[i] = static_cast<std::uint8_t>(data[i]);
    return result;
  }
  std::string to_bytes() const { return std::string(bytes.begin(), bytes.end()); }
};

using PeerId = FixedBytes<32, struct PeerIdTag>;        // SHA-256 of the peer's Ed25519 public key
using Digest = FixedBytes<32, struct DigestTag>;        // SHA-256
using SessionId = FixedBytes<16, struct SessionIdTag>;  // random, chosen by the client
using PageHash = FixedBytes<16, struct PageHashTag>;    // of a page of tokens and all before it
using HopToken = FixedBytes<16, struct HopTokenTag>;  // random; by it a hop knows the hop before it

std::string hex(std::span<const std::uint8_t> bytes);
std::optional<std::string> unhex(std::string_view text);

template <std::size_t N, typename Tag>
std::string to_string(const FixedBytes<N, Tag>& value) {
  return hex(value.bytes);
}
// First 8 hex digits, for people.
template <std::size_t N, typename Tag>
std::string short_name(const FixedBytes<N, Tag>& value) {
  return hex(std::span(value.bytes).template first<4>());
}

// What a node says of itself in its record.
enum class NodeState : std::uint8_t { kOffline = 0, kJoining = 1, kOnline = 2, kDraining = 3 };
std::string_view to_string(NodeState state);

struct FixedBytesHash {
  template <std::size_t N, typename Tag>
  std::size_t operator()(const FixedBytes<N, Tag>& value) const {
    return value.word(0);  // identifiers are hashes or random already
  }
};

}  // namespace shoal::proto
