// SPDX-License-Identifier: Apache-2.0
// Whom the ends of a relayed connection may dial, and how often they are asked to.
#include "net/punch_plan.h"

#include <gtest/gtest.h>

#include <cstring>

#include "proto/limits.h"

namespace shoal::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

proto::Endpoint at(const char* text) { return *proto::parse_endpoint(text); }
proto::PeerId peer_of(std::uint8_t number) {
  proto::PeerId peer;
  peer.bytes.fill(number);
  return peer;
}
const PunchMemory::Time kBegun{hours(5)};

TEST(PunchPlan, TellsWhereItIsSeenAndItsOwnAddresses) {
  const auto told = punch_candidates(
      at("203.0.113.2:51000"), {at("192.168.1.2:1"), at("127.0.0.1:1"), at("[fe80::1]:1")}, 7000);
  EXPECT_EQ(told, (std::vector{at("203.0.113.2:51000"), at("192.168.1.2:7000")}));
  std::vector<proto::Endpoint> many;
  for (std::uint8_t i = 1; i < 40; ++i) many.push_back(proto::Endpoint::v4({10, 0, 0, i}, 1));
  EXPECT_EQ(punch_candidates(at("203.0.113.2:51000"), many, 7000).size(),
            proto::kMaxPunchCandidates);
  EXPECT_EQ(punch_candidates(std::nullopt, {at("10.0.0.1:1")}, 7), std::vector{at("10.0.0.1:7")});
}

// Whatever is told: no other machine's address but the one that the relay saw is dialled.
TEST(PunchPlan, DialsNobodyElsesAddress) {
  const auto seen = at("203.0.113.2:51000"), us = at("198.51.100.7:7000");
  EXPECT_EQ(punch_targets({at("203.0.113.2:51000"), at("203.0.113.2:7000")}, seen, us),
            (std::vector{at("203.0.113.2:51000"), at("203.0.113.2:7000")}));
  EXPECT_TRUE(
      punch_targets({at("203.0.113.3:51000"), at("198.51.100.7:22"), at("192.168.1.9:22"),
                     at("127.0.0.1:22"), at("[fd00::9]:22"), at("0.0.0.0:7"), at("224.0.0.1:7")},
                    seen, us)
          .empty());
  EXPECT_TRUE(punch_targets({at("192.168.1.9:7000")}, seen, std::nullopt).empty())
      << "who does not know where it is seen has no neighbours";
}

TEST(PunchPlan, NeighboursMeetAtPrivateAddresses) {
  const auto seen = at("203.0.113.2:51000"), us = at("203.0.113.2:7000");
  EXPECT_EQ(punch_targets({at("203.0.113.2:51000"), at("192.168.1.9:7000"), at("127.0.0.1:7000"),
                           at("203.0.113.9:7000")},
                          seen, us),
            (std::vector{at("203.0.113.2:51000"), at("192.168.1.9:7000")}));
}

TEST(PunchPlan, DialsAFewAddressesOnly) {
  const auto seen = at("203.0.113.2:51000");
  std::vector<proto::Endpoint> told;
  for (std::uint16_t port = 2'000; port < 2'100; ++port) {
    told.push_back(seen);
    told.back().port = port;
  }
  EXPECT_EQ(punch_targets(told, seen, std::nullopt).size(), 2u) << "ports of one machine";
  EXPECT_EQ(punch_targets({seen, seen, seen}, seen, std::nullopt).size(), 1u);
  const auto us = at("203.0.113.2:7000");
  told.clear();
  for (std::uint8_t i = 1; i < 40; ++i) told.push_back(proto::Endpoint::v4({10, 0, 0, i}, 7000));
  EXPECT_EQ(punch_targets(told, seen, us).size(), proto::kMaxPunchCandidates);
  EXPECT_EQ(
      punch_targets({at("10.0.0.1:7000"), at("10.0.0.1:8080"), at("10.0.0.2:9100")}, seen, us),
      std::vector{at("10.0.0.1:7000")})
      << "no search for open ports among neighbours";
}

TEST(PunchPlan, DialsNoServiceAndNotItself) {
  const auto seen = at("203.0.113.2:51000"), us = at("203.0.113.2:7000");
  EXPECT_TRUE(punch_targets({at("203.0.113.2:22"), at("203.0.113.2:443"), at("192.168.1.1:80"), us},
                            seen, us)
                  .empty());
}

TEST(PunchPlan, WaitsThreeWaysWithinReason) {
  const PunchTry& first = kPunchTries.front();
  EXPECT_EQ(punch_window(first, milliseconds(1)), milliseconds(200));
  EXPECT_EQ(punch_window(first, milliseconds(300)), milliseconds(900));
  EXPECT_EQ(punch_window(first, seconds(60)), milliseconds(1'500));
  // What was sent is sent again after a second, and answered.
  const PunchTry& last = kPunchTries.back();
  EXPECT_EQ(punch_window(last, milliseconds(1)), milliseconds(1'001));
  EXPECT_EQ(punch_window(last, milliseconds(300)), milliseconds(1'300));
  EXPECT_EQ(punch_window(last, seconds(60)), milliseconds(1'500));
}

TEST(PunchMemory, WhatFailedIsLeftForAnHour) {
  PunchMemory memory;
  EXPECT_TRUE(memory.begin(peer_of(1), kBegun));
  EXPECT_FALSE(memory.begin(peer_of(1), kBegun + seconds(1))) << "it is under way";
  memory.failed(peer_of(1), kBegun + seconds(3));
  EXPECT_FALSE(memory.begin(peer_of(1), kBegun + minutes(59)));
  EXPECT_TRUE(memory.begin(peer_of(2), kBegun + minutes(59)));
  EXPECT_TRUE(memory.begin(peer_of(1), kBegun + minutes(61)));
  memory.failed(peer_of(1), kBegun + minutes(62));
  memory.clear();
  EXPECT_TRUE(memory.begin(peer_of(1), kBegun + minutes(63))) << "in another network";
}

TEST(PunchMemory, IsBounded) {
  PunchMemory memory;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    proto::PeerId peer;
    std::memcpy(peer.bytes.data(), &i, sizeof(i));
    if (memory.begin(peer, kBegun)) memory.failed(peer, kBegun);
  }
  EXPECT_LE(memory.size(), 4 * proto::kMaxChannels);
}

TEST(PunchBudget, APeerThatAsksOnAndOnCostsItsOwnOnly) {
  PunchBudget budget(kBegun);
  int granted = 0;
  for (int i = 0; i < 1'000; ++i) granted += budget.take(peer_of(1), std::nullopt, kBegun) ? 1 : 0;
  EXPECT_EQ(granted, 4);
  EXPECT_TRUE(budget.take(peer_of(2), std::nullopt, kBegun));
  EXPECT_FALSE(budget.take(peer_of(1), std::nullopt, kBegun + seconds(10)));
  EXPECT_TRUE(budget.take(peer_of(1), std::nullopt, kBegun + seconds(61)));
}

TEST(PunchBudget, ManyPeersShareOneThatIsBounded) {
  PunchBudget budget(kBegun);
  int granted = 0;
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    proto::PeerId peer;
    std::memcpy(peer.bytes.data(), &i, sizeof(i));
    granted += budget.take(peer, std::nullopt, kBegun) ? 1 : 0;
  }
  EXPECT_EQ(granted, 32);
  EXPECT_LE(budget.size(), proto::kMaxConnections);
}

// A relay that invents callers leaves half to those who come by another one.
TEST(PunchBudget, WhoComesThroughOneRelaySharesHalf) {
  PunchBudget budget(kBegun);
  int granted = 0;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    proto::PeerId peer;
    std::memcpy(peer.bytes.data(), &i, sizeof(i));
    granted += budget.take(peer, peer_of(200), kBegun) ? 1 : 0;
  }
  EXPECT_EQ(granted, 16);
  EXPECT_TRUE(budget.take(peer_of(2), peer_of(201), kBegun));
  EXPECT_TRUE(budget.take(peer_of(3), std::nullopt, kBegun));
  // Relays without number are not remembered without bound, and share what all have.
  granted = 0;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    proto::PeerId relay;
    std::memcpy(relay.bytes.data(), &i, sizeof(i));
    granted += budget.take(relay, relay, kBegun) ? 1 : 0;
  }
  EXPECT_EQ(granted, 32 - 18);
}

}  // namespace
}  // namespace shoal::net
