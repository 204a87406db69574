// SPDX-License-Identifier: Apache-2.0
// PCP as RFC 6887 writes it down: bytes of requests and replies, and when a router has forgotten.
#include "net/pcp.h"

#include <gtest/gtest.h>

#include <string>

namespace shoal::net {
namespace {

using proto::Endpoint;
using std::chrono::seconds;

PcpMapRequest example() {
  PcpMapRequest request;
  request.client = Endpoint::v4({192, 168, 1, 2}, 0x1b58);
  for (std::size_t i = 0; i < request.nonce.size(); ++i)
    request.nonce[i] = static_cast<std::uint8_t>(i + 1);
  request.protocol = kPcpUdp;
  request.wanted = Endpoint::v4({0, 0, 0, 0}, 0x2710);
  request.lifetime_s = 0x0e10;
  return request;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<std::uint8_t>(byte) >> 4];
    out += kDigits[static_cast<std::uint8_t>(byte) & 15];
  }
  return out;
}

std::string reply_bytes() {
  std::string bytes(60, '\0');
  bytes[0] = 2;
  bytes[1] = '\x81';
  bytes[6] = '\x0e';  // 3600 s
  bytes[7] = '\x10';
  bytes[11] = 42;  // epoch
  for (int i = 0; i < 12; ++i) bytes[static_cast<std::size_t>(24 + i)] = static_cast<char>(i + 1);
  bytes[36] = 17;
  bytes[40] = 0x1b;
  bytes[41] = 0x58;
  bytes[42] = 0x27;
  bytes[43] = 0x11;
  bytes[54] = bytes[55] = '\xff';
  bytes[56] = '\xcb';
  bytes[58] = 113;
  bytes[59] = 5;
  return bytes;
}

TEST(PcpTest, ARequestIsSixtyBytes) {
  const auto bytes = pcp_map_request(example());
  EXPECT_EQ(hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}),
            "02010000"
            "00000e10"
            "00000000000000000000ffffc0a80102"
            "0102030405060708090a0b0c"
            "11000000"
            "1b582710"
            "00000000000000000000ffff00000000");
}

TEST(PcpTest, AReplySaysWhatIsMapped) {
  const auto reply = parse_pcp_reply(reply_bytes());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->version, 2);
  EXPECT_EQ(reply->result, 0);
  EXPECT_EQ(reply->lifetime_s, 3600u);
  EXPECT_EQ(reply->epoch_s, 42u);
  EXPECT_EQ(reply->nonce, example().nonce);
  EXPECT_EQ(reply->protocol, kPcpUdp);
  EXPECT_EQ(reply->internal_port, 7000);
  EXPECT_EQ(reply->external, Endpoint::v4({203, 0, 113, 5}, 10001));
}

TEST(PcpTest, ARefusalMapsNothing) {
  std::string bytes = reply_bytes();
  bytes[3] = 2;
  const auto reply = parse_pcp_reply(bytes);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->result, 2);
  EXPECT_EQ(reply->external.port, 0);
  EXPECT_STREQ(pcp_result_words(2), "the router does not allow it");
}

TEST(PcpTest, ARouterOfNatPmpAnswersInItsOwnVersion) {
  const auto reply = parse_pcp_reply(std::string("\0\x81\0\x01\0\0\0\x09", 8));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->version, 0);
  EXPECT_EQ(reply->result, 1);
}

TEST(PcpTest, WhatIsNoReplyIsNone) {
  const std::string good = reply_bytes();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_pcp_reply(good.substr(0, size)) && size < 60) << size;
  EXPECT_FALSE(parse_pcp_reply(good + "x"));          // no multiple of four
  EXPECT_TRUE(parse_pcp_reply(good + "\x01\0\0\0"));  // an option that we did not ask for
  EXPECT_FALSE(parse_pcp_reply(good + std::string(1'100, '\0')));
  std::string request = good;
  request[1] = 1;
  EXPECT_FALSE(parse_pcp_reply(request));
  std::string other = good;
  other[0] = 3;
  EXPECT_FALSE(parse_pcp_reply(other));
}

TEST(EpochWatchTest, ARouterThatRestartedBeginsToCountAnew) {
  EpochWatch watch;
  EpochWatch::Time now{};
  EXPECT_FALSE(watch.lost(1'000, now));
  now += seconds(600);
  EXPECT_FALSE(watch.lost(1'600, now));
  now += seconds(600);
  EXPECT_FALSE(watch.lost(2'230, now));  // its clock is a little fast
  now += seconds(600);
  EXPECT_TRUE(watch.lost(300, now));
  now += seconds(60);
  EXPECT_FALSE(watch.lost(361, now));
  now += seconds(600);
  EXPECT_TRUE(watch.lost(400, now));  // restarted, and up again for 400 s
}

}  // namespace
}  // namespace shoal::net
