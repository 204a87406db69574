// SPDX-License-Identifier: Apache-2.0
#include "dht/observed_addresses.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

constexpr TimePoint kBegin{seconds(1000)};

proto::Endpoint at(const std::string& text) { return *proto::parse_endpoint(text); }
proto::PeerId peer(int number) {
  proto::PeerId result;
  result.bytes[0] = static_cast<std::uint8_t>(number);
  result.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  return result;
}
proto::Endpoint stranger(int number) {
  return at("20." + std::to_string(number % 200) + ".0.1:7000");
}

TEST(ObservedAddresses, MostOfThoseWhoSeeUsDecide) {
  ObservedAddresses observed;
  EXPECT_TRUE(observed.seen(kBegin).empty());
  observed.add(peer(1), stranger(1), at("203.0.113.9:7000"), kBegin);
  observed.add(peer(2), stranger(2), at("203.0.113.9:7000"), kBegin);
  observed.add(peer(3), stranger(3), at("198.51.100.1:7000"), kBegin);  // a liar
  const auto seen = observed.seen(kBegin);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].endpoint, at("203.0.113.9:7000"));
  EXPECT_EQ(seen[0].peers, 2u);
  EXPECT_EQ(seen[0].networks, 2u);
  observed.add(peer(4), stranger(4), at("198.51.100.1:7000"), kBegin);
  EXPECT_TRUE(observed.seen(kBegin).empty()) << "half is not most";
}

TEST(ObservedAddresses, APeerHasOneVoteAndANetworkCountsOnce) {
  ObservedAddresses observed;
  for (int i = 0; i < 9; ++i)
    observed.add(peer(1), stranger(1), at("203.0.113.9:" + std::to_string(7000 + i)), kBegin);
  ASSERT_EQ(observed.seen(kBegin).size(), 1u);
  EXPECT_EQ(observed.seen(kBegin)[0].peers, 1u);
  EXPECT_EQ(observed.seen(kBegin)[0].endpoint.port, 7008);
  for (int i = 2; i < 6; ++i)
    observed.add(peer(i), at("20.1.7.7:7000"), at("203.0.113.9:7008"), kBegin);
  EXPECT_EQ(observed.seen(kBegin)[0].peers, 5u);
  EXPECT_EQ(observed.seen(kBegin)[0].networks, 1u);
}

TEST(ObservedAddresses, FamiliesAndDistancesDoNotOutvoteEachOther) {
  ObservedAddresses observed;
  for (int i = 0; i < 3; ++i)
    observed.add(peer(i), at("192.168.1.7:7"), at("192.168.1.5:7000"), kBegin);
  observed.add(peer(8), stranger(8), at("203.0.113.9:7000"), kBegin);
  observed.add(peer(8), at("[2a02::1]:7"), at("[2a02::9]:7000"), kBegin);
  const auto seen = observed.seen(kBegin);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].endpoint, at("192.168.1.5:7000"));
}

TEST(ObservedAddresses, ForgetWhatIsOldAndWhatIsOfNoUse) {
  ObservedAddresses observed;
  observed.add(peer(1), stranger(1), at("203.0.113.9:7000"), kBegin);
  EXPECT_TRUE(observed.seen(kBegin + minutes(16)).empty());
  observed.add(peer(2), at("127.0.0.1:7000"), at("127.0.0.1:7001"), kBegin);
  observed.add(peer(3), stranger(3), at("0.0.0.0:7001"), kBegin + minutes(16));
  observed.add(peer(3), stranger(3), at("[fe80::1]:7001"), kBegin + minutes(16));
  EXPECT_TRUE(observed.seen(kBegin + minutes(16)).empty());
  for (int i = 0; i < 1000; ++i)
    observed.add(peer(i), stranger(i), at("203.0.113.9:7000"), kBegin + minutes(16));
  EXPECT_LE(observed.seen(kBegin + minutes(16))[0].peers, 24u);
  observed.clear();
  EXPECT_TRUE(observed.seen(kBegin + minutes(16)).empty());
}

}  // namespace
}  // namespace shoal::dht
