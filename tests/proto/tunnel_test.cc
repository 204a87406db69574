// SPDX-License-Identifier: Apache-2.0
// A relay's messages as bytes.
#include "proto/tunnel.h"

#include <gtest/gtest.h>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

std::string without_size(const std::string& bytes) {
  EXPECT_EQ(bytes.size(), 2u + static_cast<unsigned char>(bytes[1]));
  EXPECT_EQ(bytes[0], '\0');
  return bytes.substr(2);
}

TEST(Tunnel, MessagesComeBackAsTheyWere) {
  PeerId target;
  target.bytes.fill(7);
  for (const TunnelRequest& request :
       {TunnelRequest{}, TunnelRequest{.last = true}, TunnelRequest{.target = target}}) {
    const auto read = decode_tunnel_request(without_size(encode_tunnel_request(request)));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, request);
  }
  const Endpoint v6 = *parse_endpoint("[2001:db8::1]:65535");
  for (const TunnelReply& reply :
       {TunnelReply{TunnelReply::Kind::kParked, v6, {}, 0},
        TunnelReply{TunnelReply::Kind::kStart, Endpoint::v4({192, 0, 2, 1}, 7), {}, 0},
        TunnelReply{TunnelReply::Kind::kOpen, v6, {}, 0},
        TunnelReply{TunnelReply::Kind::kRefused, {}, TunnelRefusal::kTheirShare, 2'000}}) {
    const auto read = decode_tunnel_reply(without_size(encode_tunnel_reply(reply)));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, reply);
  }
}

TEST(Tunnel, WhatIsNoMessageIsRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("\x12\x02\x0a\x00", 4), std::string("\x12\x00", 2),
        std::string("abc"), std::string(proto::kMaxTunnelMessageBytes + 1, '\0')}) {
    EXPECT_FALSE(decode_tunnel_request(bytes).ok());
    EXPECT_FALSE(decode_tunnel_reply(bytes).ok());
  }
  // An endpoint where nobody can be.
  EXPECT_FALSE(decode_tunnel_reply(std::string("\x0a\x08\x0a\x06\0\0\0\0\0\1", 10)).ok());
}

TEST(Tunnel, LaterReasonsAndLongWaitsAreBounded) {
  const std::string bytes("\x22\x08\x08\xc8\x01\x10\xff\xff\xff\x7f", 10);
  const auto reply = decode_tunnel_reply(bytes);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->refusal, TunnelRefusal::kCount);
  EXPECT_EQ(reply->retry_ms, kMaxTunnelRetryMs);
  for (int i = 0; i <= static_cast<int>(TunnelRefusal::kCount); ++i) {
    EXPECT_STRNE(words_of(static_cast<TunnelRefusal>(i)), "");
  }
}

}  // namespace
}  // namespace shoal::proto
