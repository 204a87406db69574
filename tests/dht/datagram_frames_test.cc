// SPDX-License-Identifier: Apache-2.0
// Datagrams in a stream of bytes, and the endpoints of those who speak so.
#include "dht/datagram_frames.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dht/diversity.h"
#include "dht/tunnel_endpoint.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

TEST(DatagramFrames, ComeBackInAnyPieces) {
  const std::vector<std::string> sent = {"a", std::string(proto::kMaxDatagramBytes, 'x'), "last"};
  std::string stream;
  for (const std::string& datagram : sent) append_frame(stream, datagram);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, stream.size()}) {
    FrameReader reader;
    std::vector<std::string> found;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      std::string_view bytes = std::string_view(stream).substr(at, piece);
      while (const auto datagram = reader.next(bytes)) found.emplace_back(*datagram);
      EXPECT_TRUE(bytes.empty());
    }
    EXPECT_EQ(found, sent) << piece;
    EXPECT_FALSE(reader.is_broken());
  }
}

TEST(DatagramFrames, ALengthThatNoDatagramHasEndsTheStream) {
  const std::string_view bad[] = {std::string_view("\0\0abc", 5), std::string_view("\x04\xb1", 2),
                                  std::string_view("\xff\xff", 2)};
  for (const std::string_view stream : bad) {
    FrameReader reader;
    std::string_view bytes = stream;
    EXPECT_FALSE(reader.next(bytes));
    EXPECT_TRUE(reader.is_broken());
    std::string_view good = std::string_view("\0\1a", 3);
    EXPECT_FALSE(reader.next(good)) << "nothing that follows can be read";
  }
}

TEST(TunnelEndpoint, IsNobodysAddressAndUnlikeAnyOther) {
  const auto from = proto::Endpoint::v4({93, 184, 216, 34}, 51'000);
  const proto::Endpoint tunnel = tunnel_endpoint(from, 7);
  EXPECT_TRUE(is_tunnel(tunnel));
  EXPECT_FALSE(tunnel.is_usable()) << "nobody may be told of it";
  EXPECT_FALSE(tunnel.is_private()) << "the limits hold for it";
  EXPECT_NE(tunnel, tunnel_endpoint(from, 8));
  EXPECT_FALSE(is_tunnel(from));
  EXPECT_FALSE(is_tunnel(*proto::parse_endpoint("[2a00:1450::5]:7")));
}

TEST(TunnelEndpoint, KeepsTheNetworkThatLimitsLookAt) {
  const auto v4 = [](std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return tunnel_endpoint(proto::Endpoint::v4({93, b, c, d}, 5), d);
  };
  EXPECT_EQ(narrow_network(v4(1, 2, 3)), narrow_network(v4(1, 2, 200)));
  EXPECT_NE(narrow_network(v4(1, 2, 3)), narrow_network(v4(1, 3, 3)));
  EXPECT_EQ(wide_network(v4(1, 2, 3)), wide_network(v4(1, 9, 3)));
  EXPECT_NE(wide_network(v4(1, 2, 3)), wide_network(v4(2, 2, 3)));
  const auto v6 = [](const char* text) { return tunnel_endpoint(*proto::parse_endpoint(text), 1); };
  EXPECT_EQ(v6("[2a00:1450:1::5]:7"), v6("[2a00:1450:1::6]:8"));
  EXPECT_NE(narrow_network(v6("[2a00:1450::5]:7")), narrow_network(v6("[2a00:1451::5]:7")));
}

}  // namespace
}  // namespace shoal::dht
