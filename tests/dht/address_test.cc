// SPDX-License-Identifier: Apache-2.0
#include "dht/address.h"

#include <gtest/gtest.h>

#include "identity/random.h"

namespace shoal::dht {
namespace {

TEST(AddressTest, TravelsAsSixOrEighteenBytes) {
  const auto v4 = *proto::parse_endpoint("192.0.2.1:7000");
  const auto v6 = *proto::parse_endpoint("[2001:db8::1]:65535");
  EXPECT_EQ(encode_address(v4), std::string("\xc0\x00\x02\x01\x1b\x58", 6));
  EXPECT_EQ(encode_address(v6).size(), 18u);
  EXPECT_EQ(decode_address(encode_address(v4)), v4);
  EXPECT_EQ(decode_address(encode_address(v6)), v6);
}

TEST(AddressTest, RefusesWhatNobodyCanSendTo) {
  for (const char* text :
       {"0.0.0.0:1", "0.1.2.3:5", "127.0.0.1:0", "224.0.0.1:5", "240.0.0.1:5", "255.255.255.255:5",
        "[::]:7", "[ff02::1]:7", "[fe80::1]:7", "[::1.2.3.4]:7", "[2001:db8::1]:0"}) {
    const auto endpoint = proto::parse_endpoint(text);
    ASSERT_TRUE(endpoint.ok()) << text;
    EXPECT_FALSE(endpoint->is_usable()) << text;
    EXPECT_FALSE(decode_address(encode_address(*endpoint))) << text;
  }
  EXPECT_FALSE(decode_address(
      std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\1\1", 18)));  // two spellings
}

TEST(AddressTest, AnyBytesAreRefusedOrRoundTrip) {
  identity::Random random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random.below(24), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    const auto endpoint = decode_address(bytes);
    EXPECT_TRUE(!endpoint || encode_address(*endpoint) == bytes);
  }
}

}  // namespace
}  // namespace shoal::dht
