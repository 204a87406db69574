// SPDX-License-Identifier: Apache-2.0
#include "proto/types.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace shoal::proto {
namespace {

std::optional<BlockIndex> parse_index(std::string_view text) {
  BlockIndex value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

absl::StatusOr<Span> parse_span(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto begin = parse_index(text.substr(0, colon));
    const auto end = parse_index(text.substr(colon + 1));
    if (begin && end && *begin < *end) return Span{*begin, *end};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::string_view(text.data(), text.size()),
      "\" is not a span of blocks: write BEGIN:END with BEGIN < END, for example 0:4"));
}

std::string to_string(Span span) { return absl::StrCat(span.begin, ":", span.end); }

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

std::optional<std::string> unhex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = nibble(text[i]);
    const int low = nibble(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

std::string_view to_string(NodeState state) {
  switch (state) {
    case NodeState::kOffline:
      return "offline";
    case NodeState::kJoining:
      return "joining";
    case NodeState::kOnline:
      return "online";
    case NodeState::kDraining:
      return "draining";
  }
  return "unknown";
}

}  // namespace shoal::proto
