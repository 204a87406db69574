// SPDX-License-Identifier: Apache-2.0
// Addresses: one value per address, total parsing of HOST:PORT, the classes that rules depend on.
#include "proto/endpoint.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace shoal::proto {
namespace {

Endpoint at(std::string_view text) {
  const auto endpoint = parse_endpoint(text);
  EXPECT_TRUE(endpoint.ok()) << text;
  return endpoint.value_or(Endpoint{});
}

TEST(Endpoint, ParsesAndPrintsBothFamilies) {
  for (const std::string text : {"127.0.0.1:7000", "0.0.0.0:0", "255.255.255.255:65535",
                                 "[::1]:7000", "[::]:1", "[2001:db8::1]:443", "[fe80::1]:9"}) {
    EXPECT_EQ(to_string(at(text)), text);
  }
  EXPECT_EQ(at("10.1.2.3:5"), Endpoint::v4({10, 1, 2, 3}, 5));
}

TEST(Endpoint, TheSameAddressIsTheSameValueInEverySpelling) {
  EXPECT_EQ(at("[::ffff:1.2.3.4]:5"), at("1.2.3.4:5"));
  EXPECT_EQ(at("[2001:db8:0:0:0:0:0:1]:5"), at("[2001:DB8::1]:5"));
  EXPECT_TRUE(at("[::ffff:1.2.3.4]:5").is_v4());
  EXPECT_FALSE(at("[::1]:5").is_v4());
  EXPECT_NE(at("1.2.3.4:5"), at("1.2.3.4:6"));
}

TEST(Endpoint, RefusesWhatIsNoNumericAddress) {
  for (const std::string_view text : {"",
                                      ":",
                                      ":7000",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:x",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:+1",
                                      "127.0.0.1:65536",
                                      "127.0.0.1: 7",
                                      "127.0.0.1:7 ",
                                      " 127.0.0.1:7",
                                      "127.0.0:7",
                                      "256.0.0.1:7",
                                      "127.0.0.1.1:7",
                                      "127.0.0.01x:7",
                                      "::1:7000",
                                      "[::1]7000",
                                      "[::1]",
                                      "[]:7",
                                      "[::1:7",
                                      "::1]:7",
                                      "[[::1]]:7",
                                      "[127.0.0.1]:7",
                                      "[localhost]:7",
                                      "localhost:7000",
                                      "[1::2::3]:7"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint.ok()) << text;
    EXPECT_NE(std::string(endpoint.status().message()).find("HOST:PORT"), std::string::npos)
        << text;
  }
}

TEST(Endpoint, IsNotFooledByAZeroByte) {
  EXPECT_FALSE(parse_endpoint(std::string_view("127.0.0.1\0.evil:70", 18)).ok());
  EXPECT_FALSE(parse_host_port(std::string_view("good\0evil:70", 12)).ok());
}

TEST(Endpoint, SurvivesArbitraryText) {
  std::mt19937 random(1);
  const std::string alphabet = "0123456789abcdef.:[]%xg \n\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (unsigned size = random() % 30; size > 0; --size)
      text.push_back(alphabet[random() % alphabet.size()]);
    const auto endpoint = parse_endpoint(text);
    if (endpoint.ok()) {
      EXPECT_EQ(at(to_string(*endpoint)), *endpoint) << text;
    }
  }
}

TEST(HostPort, TakesNamesAndAddresses) {
  const auto named = parse_host_port("node-1.example.org:7000");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->host, "node-1.example.org");
  EXPECT_EQ(named->port, 7000);
  EXPECT_EQ(parse_host_port("[2001:db8::1]:1")->host, "2001:db8::1");
  EXPECT_EQ(parse_host_port("0:0")->host, "0");
}

TEST(HostPort, RefusesWhatCannotBeAHost) {
  for (const std::string& text :
       {std::string("a b:1"), std::string("a\n:1"), std::string("[a:1"), std::string("a]:1"),
        std::string("[abc]:1"), std::string("a/b:1"), std::string("http://a:1"),
        std::string(254, 'a') + ":1", std::string("\xff:1"), std::string("\x1b[31m:1")}) {
    EXPECT_FALSE(parse_host_port(text).ok()) << text;
  }
  EXPECT_TRUE(parse_host_port(std::string(253, 'a') + ":1").ok());
}

TEST(HostPort, TheErrorCarriesNoControlCharactersToTheTerminal) {
  const auto refused = parse_host_port("\x1b[31mred\x07:1");
  ASSERT_FALSE(refused.ok());
  for (const char c : std::string(refused.status().message()))
    EXPECT_GE(static_cast<unsigned char>(c), 0x20);
}

TEST(Endpoint, KnowsUnspecifiedAndLoopback) {
  EXPECT_TRUE(at("0.0.0.0:1").is_unspecified());
  EXPECT_TRUE(at("[::]:1").is_unspecified());
  EXPECT_FALSE(at("0.0.0.1:1").is_unspecified());
  EXPECT_FALSE(at("[::1]:1").is_unspecified());
  EXPECT_TRUE(at("127.0.0.1:1").is_loopback());
  EXPECT_TRUE(at("127.255.3.4:1").is_loopback());
  EXPECT_TRUE(at("[::1]:1").is_loopback());
  EXPECT_FALSE(at("[1::1]:1").is_loopback());
  EXPECT_FALSE(at("128.0.0.1:1").is_loopback());
}

TEST(Endpoint, KnowsPrivateRangesAtTheirEdges) {
  for (const char* text :
       {"10.0.0.0:1", "10.255.255.255:1", "172.16.0.0:1", "172.31.255.255:1", "192.168.0.1:1",
        "169.254.1.1:1", "127.0.0.1:1", "[fc00::1]:1", "[fdff::1]:1", "[fe80::1]:1", "[febf::1]:1",
        "[::1]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_TRUE(at(text).is_private()) << text;
  }
  for (const char* text : {"9.255.255.255:1", "11.0.0.0:1", "172.15.255.255:1", "172.32.0.0:1",
                           "192.167.0.1:1", "192.169.0.1:1", "169.253.0.1:1", "8.8.8.8:1",
                           "[fbff::1]:1", "[fe00::1]:1", "[fec0::1]:1", "[2001:db8::1]:1"}) {
    EXPECT_FALSE(at(text).is_private()) << text;
  }
}

// Addresses that no peer can be reached at, and why: every kind at its edges.
const std::vector<std::pair<const char*, const char*>> kUnusable = {
    {"0.0.0.0:7", "every address"},
    {"[::]:7", "every address"},
    {"[::ffff:0.0.0.0]:7", "every address"},
    {"0.0.0.1:7", "begin with 0"},
    {"0.255.255.255:7", "begin with 0"},
    {"224.0.0.0:7", "multicast"},
    {"239.255.255.255:7", "multicast"},
    {"[::ffff:224.0.0.1]:7", "multicast"},
    {"240.0.0.0:7", "reserved"},
    {"255.255.255.254:7", "reserved"},
    {"255.255.255.255:7", "broadcast"},
    {"[ff00::]:7", "multicast"},
    {"[ff02::1]:7", "multicast"},
    {"[ffff::1]:7", "multicast"},
    {"[fe80::1]:7", "link-local"},
    {"[febf:ffff::1]:7", "link-local"},
    {"[::2]:7", "written as an IPv6"},
    {"[::10.1.2.3]:7", "written as an IPv6"},
    {"[::ffff:0:10.1.2.3]:7", "written as an IPv6"},
    {"[100::1]:7", "discard"},
    {"[2002:a00:1::1]:7", "inside it"},       // 6to4 of 10.0.0.1
    {"[2002:7f00:1::1]:7", "inside it"},      // of 127.0.0.1
    {"[2002:e000:1::1]:7", "inside it"},      // of 224.0.0.1
    {"[64:ff9b::127.0.0.1]:7", "inside it"},  // NAT64
    {"[64:ff9b::192.168.1.1]:7", "inside it"},
    {"[64:ff9b::0.0.0.0]:7", "inside it"},
};

TEST(Usable, WhatNobodyCanReachIsRefusedForPeersWithTheReason) {
  for (const auto& [text, why] : kUnusable) {
    EXPECT_FALSE(at(text).is_usable()) << text;
    for (const AddressUse use : {AddressUse::kDial, AddressUse::kAnnounce}) {
      const absl::Status status = check_address(text, use);
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
      EXPECT_NE(std::string(status.message()).find(why), std::string::npos) << status;
      EXPECT_NE(std::string(status.message()).find(to_string(at(text))), std::string::npos);
      EXPECT_EQ(check_address(at(text), use), status);
    }
    EXPECT_EQ(check_address(text, AddressUse::kListen).ok(), at(text).is_unspecified()) << text;
  }
}

TEST(Usable, WhatSomebodyCanReachIsTaken) {
  for (const char* text :
       {"1.0.0.0:1", "127.0.0.1:7", "10.0.0.1:7", "169.254.1.1:7", "100.64.0.1:7", "192.0.2.1:7",
        "223.255.255.255:65535", "[::1]:7", "[::ffff:1.2.3.4]:7", "[2001:db8::1]:7", "[fc00::1]:7",
        "[fdff::1]:7", "[fec0::1]:7", "[64:ff9b::8.8.8.8]:7", "[2002:808:808::1]:7", "[101::1]:7",
        "[2a02::7]:7"}) {
    EXPECT_TRUE(at(text).is_usable()) << text;
    for (const AddressUse use : {AddressUse::kDial, AddressUse::kAnnounce, AddressUse::kListen})
      EXPECT_TRUE(check_address(text, use).ok()) << text;
  }
}

TEST(Usable, PortZeroIsForOnesOwnAddressesOnly) {
  for (const char* text : {"127.0.0.1:0", "[2001:db8::1]:0", "host:0"}) {
    const absl::Status status = check_address(text, AddressUse::kDial);
    EXPECT_NE(std::string(status.message()).find("port"), std::string::npos) << text;
    EXPECT_TRUE(check_address(text, AddressUse::kAnnounce).ok()) << text;
    EXPECT_TRUE(check_address(text, AddressUse::kListen).ok()) << text;
  }
  EXPECT_FALSE(at("127.0.0.1:0").is_usable());
}

TEST(Usable, AZoneIsNotTaken) {
  for (const char* text : {"[::1%lo]:7", "[fe80::1%eth0]:7", "[fe80::1%2]:7"}) {
    const auto refused = parse_endpoint(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_NE(std::string(refused.status().message()).find("zone"), std::string::npos);
    EXPECT_EQ(check_address(text, AddressUse::kListen), refused.status());
  }
}

}  // namespace
}  // namespace shoal::proto
