// SPDX-License-Identifier: Apache-2.0
#include "dht/diversity.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

proto::Endpoint at(const char* text) { return *proto::parse_endpoint(text); }

TEST(DiversityTest, NetworksAreEqualOnlyForAddressesOfOneNetwork) {
  EXPECT_EQ(narrow_network(at("203.0.113.1:1")), narrow_network(at("203.0.113.250:2")));
  EXPECT_NE(narrow_network(at("203.0.113.1:1")), narrow_network(at("203.0.114.1:1")));
  EXPECT_EQ(wide_network(at("203.0.113.1:1")), wide_network(at("203.0.114.1:1")));
  EXPECT_NE(wide_network(at("203.0.113.1:1")), wide_network(at("203.1.113.1:1")));
  EXPECT_EQ(narrow_network(at("[2a02:1:2::1]:1")), narrow_network(at("[2a02:1:2:ffff::1]:1")));
  EXPECT_NE(narrow_network(at("[2a02:1:2::1]:1")), narrow_network(at("[2a02:1:3::1]:1")));
  EXPECT_EQ(wide_network(at("[2a02:1:2::1]:1")), wide_network(at("[2a02:1:3::1]:1")));
  EXPECT_NE(wide_network(at("[2a02:1::1]:1")), wide_network(at("[2a02:2::1]:1")));
  // ::cb00:7100 has the same last bytes as 203.0.113.0.
  EXPECT_NE(narrow_network(at("[::cb00:7101]:1")), narrow_network(at("203.0.113.1:1")));
}

TEST(DiversityTest, TheQuickComparisonSaysTheSame) {
  std::vector<proto::Endpoint> all;
  for (const char* text :
       {"203.0.113.1:1", "203.0.113.250:2", "203.0.114.1:1", "202.0.113.1:1", "[2a02:1:2::1]:1",
        "[2a02:1:2:ffff::1]:1", "[2a02:1:3::1]:1", "[2a02:1::203.0.113.1]:1"}) {
    all.push_back(at(text));
  }
  for (const proto::Endpoint& a : all) {
    const SameNarrowNetwork same(a);
    for (const proto::Endpoint& b : all)
      EXPECT_EQ(same(b), narrow_network(a) == narrow_network(b))
          << to_string(a) << " " << to_string(b);
  }
  // Nobody has an address in ::/48, where IPv4 is written.
  EXPECT_FALSE(SameNarrowNetwork(at("[::cb00:7101]:1"))(at("203.0.113.1:1")));
}

TEST(DiversityTest, PrivateRangesAreExempt) {
  for (const char* text :
       {"127.0.0.1:1", "10.1.2.3:1", "172.16.0.1:1", "192.168.1.1:1", "169.254.1.1:1",
        "100.64.0.1:1", "100.127.1.1:1", "[::1]:1", "[fd00::1]:1", "[fe80::1]:1"}) {
    EXPECT_TRUE(is_exempt(at(text))) << text;
  }
  for (const char* text :
       {"172.32.0.1:1", "100.63.0.1:1", "100.128.0.1:1", "8.8.8.8:1", "[2a02::1]:1"}) {
    EXPECT_FALSE(is_exempt(at(text))) << text;
  }
}

TEST(DiversityTest, StrangersMayNotPointIntoPrivateNetworks) {
  const auto world = at("8.8.8.8:1"), lan = at("192.168.1.7:1"), self = at("127.0.0.1:1");
  EXPECT_TRUE(may_tell(world, at("9.9.9.9:1")));
  EXPECT_FALSE(may_tell(world, lan));
  EXPECT_FALSE(may_tell(world, self));
  EXPECT_TRUE(may_tell(lan, world));
  EXPECT_TRUE(may_tell(lan, at("10.0.0.1:1")));
  EXPECT_FALSE(may_tell(lan, self));
  EXPECT_TRUE(may_tell(self, lan));
  EXPECT_TRUE(may_tell(self, self));
}

TEST(DiversityTest, TwoOfANarrowAndThreeOfAWideNetworkAreAdmitted) {
  NearLimit limit{DiversityConfig{}};
  EXPECT_TRUE(limit.admit(at("203.0.113.1:1")));
  EXPECT_TRUE(limit.admit(at("203.0.113.2:1")));
  EXPECT_FALSE(limit.admit(at("203.0.113.3:1")));
  EXPECT_TRUE(limit.admit(at("203.0.114.1:1")));
  EXPECT_FALSE(limit.admit(at("203.0.115.1:1")));  // the fourth of its /16
  EXPECT_TRUE(limit.admit(at("203.1.115.1:1")));   // refusals did not count
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(limit.admit(at("10.0.0.1:1")));
}

TEST(DiversityTest, SilentOnesTakeNoShareButAreNotReplacedForEver) {
  DiversityConfig config;
  config.near_silent = 3;
  NearLimit limit{config};
  for (int i = 0; i < 2; ++i) limit.count_silent(at("203.0.113.1:1"));
  EXPECT_TRUE(limit.admit(at("203.0.113.9:1")));
  limit.count_silent(at("203.0.113.2:1"));
  EXPECT_FALSE(limit.admit(at("203.0.113.10:1")));
  EXPECT_TRUE(limit.admit(at("203.0.114.1:1"))) << "another network";
  for (int i = 0; i < 9; ++i) limit.count_silent(at("10.0.0.1:1"));
  EXPECT_TRUE(limit.admit(at("10.0.0.2:1"))) << "private";
}

TEST(DiversityTest, NothingIsLimitedWhenSwitchedOff) {
  DiversityConfig config;
  config.enabled = false;
  NearLimit limit{config};
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(limit.admit(at("203.0.113.1:1")));
}

}  // namespace
}  // namespace shoal::dht
