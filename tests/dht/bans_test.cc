// SPDX-License-Identifier: Apache-2.0
#include "dht/bans.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(1000)};

Contact contact(std::uint8_t id, const char* endpoint) {
  Contact result{{}, *proto::parse_endpoint(endpoint)};
  result.peer.bytes[0] = id;
  return result;
}

TEST(BansTest, TakeInThePeerAndItsAddressForAWhile) {
  Bans bans{BanConfig{}};
  const Contact bad = contact(1, "203.0.113.1:7000");
  EXPECT_FALSE(bans.has(bad.peer, kNow));
  bans.add(bad, kNow);
  EXPECT_TRUE(bans.has(bad.peer, kNow + seconds(14)));
  EXPECT_TRUE(bans.has(proto::parse_endpoint("203.0.113.1:9999").value(), kNow));  // any port
  EXPECT_FALSE(bans.has(proto::parse_endpoint("203.0.113.2:7000").value(), kNow));
  EXPECT_FALSE(bans.has(contact(2, "203.0.113.9:1").peer, kNow));
  EXPECT_FALSE(bans.has(bad.peer, kNow + seconds(15)));
  EXPECT_EQ(bans.total(), 1u);
}

TEST(BansTest, DoubleUpToAnHourAndAreForgotten) {
  Bans bans{BanConfig{}};
  const Contact bad = contact(1, "203.0.113.1:7000");
  TimePoint now = kNow;
  for (int seconds_banned = 15; seconds_banned < 7200; seconds_banned *= 2) {
    bans.add(bad, now);
    const Duration expected = std::min<Duration>(seconds(seconds_banned), minutes(60));
    EXPECT_TRUE(bans.has(bad.peer, now + expected - milliseconds(1)));
    EXPECT_FALSE(bans.has(bad.peer, now + expected));
    now += expected;
  }
  now += minutes(60) + seconds(1);
  bans.add(bad, now);
  EXPECT_FALSE(bans.has(bad.peer, now + seconds(15)));  // as if for the first time
}

TEST(BansTest, WhatWasInFlightCountsOnce) {
  Bans bans{BanConfig{}};
  const Contact bad = contact(1, "203.0.113.1:7000");
  for (int i = 0; i < 50; ++i) bans.add(bad, kNow);
  EXPECT_FALSE(bans.has(bad.peer, kNow + seconds(15)));
}

TEST(BansTest, NewIdsDoNotHelpAnAddressAndOneUserOfIPv6HasOneNetwork) {
  Bans bans{BanConfig{}};
  bans.add(contact(1, "[2a02:1:2:3::1]:1"), kNow);
  bans.add(contact(2, "[2a02:1:2:3::2]:1"), kNow + seconds(16));
  EXPECT_TRUE(
      bans.has(proto::parse_endpoint("[2a02:1:2:3:ffff::9]:5").value(), kNow + seconds(40)));
  EXPECT_FALSE(bans.has(proto::parse_endpoint("[2a02:1:2:4::1]:1").value(), kNow + seconds(16)));
}

TEST(BansTest, NeighboursInAPrivateNetworkAreNotPunishedTogether) {
  Bans bans{BanConfig{}};
  bans.add(contact(1, "127.0.0.1:7000"), kNow);
  EXPECT_TRUE(bans.has(proto::parse_endpoint("127.0.0.1:7000").value(), kNow));
  EXPECT_FALSE(bans.has(proto::parse_endpoint("127.0.0.1:7001").value(), kNow));
}

TEST(BansTest, MemoryIsBoundedAndTheOldestGoesFirst) {
  BanConfig config;
  config.max_entries = 10;
  Bans bans{config};
  for (std::uint8_t i = 0; i < 100; ++i) {
    Contact bad = contact(i, "203.0.113.1:7000");
    bad.endpoint.address[14] = i;
    bans.add(bad, kNow + milliseconds(i));
    EXPECT_LE(bans.size(), 10u);
    EXPECT_TRUE(bans.has(bad.peer, kNow + milliseconds(i)));
  }
  EXPECT_FALSE(bans.has(contact(0, "203.0.113.1:1").peer, kNow + milliseconds(100)));
}

}  // namespace
}  // namespace shoal::dht
