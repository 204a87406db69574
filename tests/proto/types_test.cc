// SPDX-License-Identifier: Apache-2.0
// The shared vocabulary: spans, fixed-size identifiers, hex.
#include "proto/types.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace shoal::proto {
namespace {

TEST(Span, IsHalfOpen) {
  const Span span{2, 5};
  EXPECT_EQ(span.size(), 3u);
  EXPECT_FALSE(span.contains(1));
  EXPECT_TRUE(span.contains(2));
  EXPECT_TRUE(span.contains(4));
  EXPECT_FALSE(span.contains(5));
  EXPECT_TRUE(span.contains(Span{2, 5}));
  EXPECT_TRUE(span.contains(Span{3, 4}));
  EXPECT_FALSE(span.contains(Span{1, 3}));
  EXPECT_FALSE(span.contains(Span{4, 6}));
}

TEST(Span, BackwardsIsEmptyAndHasNoHugeSize) {
  const Span span{5, 2};
  EXPECT_TRUE(span.empty());
  EXPECT_EQ(span.size(), 0u);
  EXPECT_FALSE(span.contains(3));
  EXPECT_TRUE((Span{3, 3}).empty());
}

TEST(Span, ParsesBeginColonEnd) {
  ASSERT_TRUE(parse_span("0:4").ok());
  EXPECT_EQ(*parse_span("0:4"), (Span{0, 4}));
  EXPECT_EQ(*parse_span("4294967294:4294967295"), (Span{4294967294u, 4294967295u}));
  EXPECT_EQ(to_string(Span{3, 17}), "3:17");
  EXPECT_EQ(*parse_span(to_string(Span{3, 17})), (Span{3, 17}));
}

TEST(Span, RefusesEverythingElseAndSaysTheForm) {
  for (const std::string_view text :
       {"", ":", "0", "0:", ":4", "4:4", "5:4", "-1:4", "+0:4", "0:4 ", " 0:4", "0:4:8", "0x0:4",
        "a:b", "0.0:4", "0:4294967296", "0:99999999999999999999", "0-4", "0:4\n"}) {
    const auto span = parse_span(text);
    ASSERT_FALSE(span.ok()) << text;
    EXPECT_EQ(span.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(span.status().message()).find("BEGIN:END"), std::string::npos);
  }
  EXPECT_FALSE(parse_span(std::string_view("0:4\0", 4)).ok());
}

TEST(FixedBytes, TakesExactlyItsSize) {
  const std::string bytes = "0123456789abcdef0123456789abcdef";
  ASSERT_TRUE(PeerId::from_bytes(bytes));
  EXPECT_EQ(PeerId::from_bytes(bytes)->to_bytes(), bytes);
  EXPECT_FALSE(PeerId::from_bytes(""));
  EXPECT_FALSE(PeerId::from_bytes(bytes.substr(1)));
  EXPECT_FALSE(PeerId::from_bytes(bytes + "0"));
  const std::string high(16, '\xff');
  EXPECT_EQ(SessionId::from_bytes(high)->to_bytes(), high);
}

TEST(FixedBytes, OrdersAsBigEndianNumbers) {
  PeerId low;
  PeerId high;
  low.bytes[31] = 0xff;
  high.bytes[0] = 1;
  EXPECT_LT(low, high);
  EXPECT_EQ(low, low);
}

TEST(FixedBytes, PrintsAsHex) {
  PeerId id;
  id.bytes[0] = 0x0a;
  id.bytes[1] = 0xff;
  id.bytes[3] = 0x10;
  EXPECT_EQ(short_name(id), "0aff0010");
  EXPECT_EQ(to_string(id).size(), 64u);
  EXPECT_EQ(PeerId::from_bytes(*unhex(to_string(id))), id);
}

TEST(FixedBytes, HashesDifferWhereTheFirstBytesDo) {
  std::unordered_set<HopToken, FixedBytesHash> tokens;
  for (int i = 0; i < 1000; ++i) {
    HopToken token;
    token.bytes[3] = static_cast<std::uint8_t>(i);
    token.bytes[7] = static_cast<std::uint8_t>(i >> 8);
    tokens.insert(token);
  }
  EXPECT_EQ(tokens.size(), 1000u);
}

TEST(Hex, GoesThereAndBackForEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string text =
      hex(std::span(reinterpret_cast<const std::uint8_t*>(all.data()), all.size()));
  EXPECT_EQ(text.substr(0, 6), "000102");
  EXPECT_EQ(text.substr(506), "fdfeff");
  EXPECT_EQ(unhex(text), all);
  EXPECT_EQ(unhex("FFaB"), "\xff\xab");
  EXPECT_EQ(unhex(""), "");
}

TEST(Hex, RefusesOddLengthAndOtherCharacters) {
  for (const std::string_view text : {"0", "abc", "0g", "g0", " 0", "0x", "\xff\xff", "--"}) {
    EXPECT_FALSE(unhex(text)) << text;
  }
  EXPECT_FALSE(unhex(std::string_view("0\0", 2)));
}

TEST(NodeState, HasANameAlsoForANumberFromOutside) {
  EXPECT_EQ(to_string(NodeState::kOffline), "offline");
  EXPECT_EQ(to_string(NodeState::kJoining), "joining");
  EXPECT_EQ(to_string(NodeState::kOnline), "online");
  EXPECT_EQ(to_string(NodeState::kDraining), "draining");
  EXPECT_EQ(to_string(static_cast<NodeState>(200)), "unknown");
}

}  // namespace
}  // namespace shoal::proto
