// SPDX-License-Identifier: Apache-2.0
// Endpoints and addresses as bytes and as text: direct ones, and those through a relay.
#include "proto/address.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

const Endpoint kV4 = *parse_endpoint("192.0.2.1:7000");
const Endpoint kV6 = *parse_endpoint("[2001:db8::1]:65535");

PeerId relay_id() {
  PeerId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i)
    id.bytes[i] = static_cast<std::uint8_t>(0x1a + i);
  return id;
}

TEST(EndpointBytesTest, TravelAsSixOrEighteenBytes) {
  EXPECT_EQ(encode_endpoint(kV4), std::string("\xc0\x00\x02\x01\x1b\x58", 6));
  EXPECT_EQ(encode_endpoint(kV6).size(), 18u);
  EXPECT_EQ(decode_endpoint(encode_endpoint(kV4)), kV4);
  EXPECT_EQ(decode_endpoint(encode_endpoint(kV6)), kV6);
}

TEST(EndpointBytesTest, WhatNobodyCanSendToIsRefused) {
  for (const char* text :
       {"0.0.0.0:1", "0.1.2.3:5", "127.0.0.1:0", "224.0.0.1:5", "240.0.0.1:5", "255.255.255.255:5",
        "[::]:7", "[ff02::1]:7", "[fe80::1]:7", "[::1.2.3.4]:7", "[2001:db8::1]:0"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint.ok()) << text;
    EXPECT_FALSE(endpoint->is_usable()) << text;
    EXPECT_FALSE(decode_endpoint(encode_endpoint(*endpoint))) << text;
    EXPECT_FALSE(decode_address(encode_address(*endpoint))) << text;
    EXPECT_FALSE(decode_address(encode_address(Address::through(relay_id(), *endpoint)))) << text;
  }
  EXPECT_FALSE(decode_endpoint(
      std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\1\1", 18)));  // two spellings
}

TEST(EndpointBytesTest, AnyBytesAreRefusedOrRoundTrip) {
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const auto endpoint = decode_endpoint(bytes);
    EXPECT_TRUE(!endpoint || encode_endpoint(*endpoint) == bytes);
  }
}

TEST(AddressTest, IsAnEndpointOrARelayAndItsEndpoint) {
  const Address direct = kV4;
  EXPECT_TRUE(direct.is_direct());
  EXPECT_EQ(to_string(direct), "192.0.2.1:7000");
  const Address relayed = Address::through(relay_id(), kV4);
  EXPECT_FALSE(relayed.is_direct());
  EXPECT_EQ(to_string(relayed), "via 1a1b1c1d at 192.0.2.1:7000");
  EXPECT_NE(direct, relayed);
  PeerId other = relay_id();
  other.bytes[31] ^= 1;
  EXPECT_EQ((std::set<Address>{direct, relayed, Address::through(other, kV4), kV6, kV4}).size(),
            4u);
}

TEST(AddressTest, EachKindHasOneFormInBytes) {
  const struct {
    Address address;
    std::size_t bytes;
  } kinds[] = {{kV4, 7},
               {kV6, 19},
               {Address::through(relay_id(), kV4), 39},
               {Address::through(relay_id(), kV6), 51}};
  for (const auto& [address, size] : kinds) {
    const std::string bytes = encode_address(address);
    EXPECT_EQ(bytes.size(), size) << to_string(address);
    EXPECT_LE(bytes.size(), kMaxAddressBytes);
    EXPECT_TRUE(is_known_address_kind(bytes));
    EXPECT_EQ(decode_address(bytes), address);
    EXPECT_FALSE(decode_address(bytes + "x"));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      EXPECT_FALSE(decode_address(bytes.substr(0, cut))) << cut << " of " << to_string(address);
  }
  EXPECT_EQ(encode_address(kV4), std::string("\x01\xc0\x00\x02\x01\x1b\x58", 7));
  EXPECT_EQ(encode_address(Address::through(relay_id(), kV4)),
            "\x02" + relay_id().to_bytes() + encode_endpoint(kV4));
}

TEST(AddressTest, KindsOfLaterVersionsCanBeTold) {
  EXPECT_FALSE(is_known_address_kind(""));
  EXPECT_FALSE(is_known_address_kind(std::string("\0\x7f\0\0\1\1\1", 7)));
  EXPECT_FALSE(is_known_address_kind("\x03whatever"));
  EXPECT_FALSE(decode_address("\x03whatever"));
}

TEST(AddressTest, AnyBytesAreRefusedOrRoundTrip) {
  std::mt19937 random(3);
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t sizes[] = {7, 19, 39, 51, random() % 70};
    std::string bytes(sizes[random() % 5], '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (!bytes.empty()) bytes[0] = static_cast<char>(random() % 4);
    const auto address = decode_address(bytes);
    accepted += address ? 1 : 0;
    EXPECT_TRUE(!address || encode_address(*address) == bytes);
    EXPECT_TRUE(!address || address->endpoint.is_usable());
  }
  EXPECT_GT(accepted, 1000);
}

TEST(AddressTest, DirectOnesAreKnown) {
  const Address relayed = Address::through(relay_id(), kV6);
  EXPECT_EQ(direct_endpoints(std::vector<Address>{relayed, kV4, kV6}),
            (std::vector<Endpoint>{kV4, kV6}));
}

}  // namespace
}  // namespace shoal::proto
