// SPDX-License-Identifier: Apache-2.0
// Who gives way when a node is full: what does nothing before what works, those with more than
// their share before others, and nobody while nobody waits for it.
#include "node/serve/shares.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

proto::PeerId peer(int id) {
  proto::PeerId result;
  result.bytes[0] = static_cast<std::uint8_t>(id);
  result.bytes[1] = static_cast<std::uint8_t>(id >> 8);
  return result;
}

struct Node {
  std::vector<Holding> holdings;

  Holding& add(int owner, std::uint64_t network, milliseconds idle, bool stepped,
               std::int64_t leased = 1024, std::int64_t filled = 0) {
    holdings.push_back({.key = holdings.size() + 1,
                        .peer = peer(owner),
                        .network = network,
                        .leased = leased,
                        .filled = filled,
                        .working = false,
                        .stepped = stepped,
                        .idle = idle});
    return holdings.back();
  }
  std::optional<Concession> ask(Need need, milliseconds waited = milliseconds(0),
                                std::uint64_t network = 0, int who = 9999) const {
    return who_gives_way(holdings, {peer(who), network, waited}, need);
  }
};

TEST(Shares, OneIdlePeerWithAllKvShrinks) {
  Node node;
  for (int i = 0; i < 64; ++i) node.add(1, 0, seconds(6), false);
  const auto given = node.ask({.positions = 1024});
  ASSERT_TRUE(given);
  EXPECT_EQ(given->shrink.size(), 1u);
  EXPECT_TRUE(given->end.empty()) << "shrinking is enough";
}

TEST(Shares, FilledKvComesBackByEndingWhatIsIdle) {
  Node node;
  for (int i = 0; i < 64; ++i) node.add(1, 0, seconds(6), true, 1024, 1024);
  const auto given = node.ask({.positions = 1500});
  ASSERT_TRUE(given);
  EXPECT_TRUE(given->shrink.empty());
  EXPECT_EQ(given->end.size(), 2u) << "no more than is needed";
}

TEST(Shares, SixteenIdentitiesWithAllSessionsGiveOneUp) {
  for (const bool stepped : {false, true}) {
    Node node;
    for (int i = 0; i < 1024; ++i) node.add(i / 64, 0, seconds(5), stepped);
    const auto given = node.ask({.sessions = 1});
    ASSERT_TRUE(given);
    EXPECT_EQ(given->end.size(), 1u);
  }
}

TEST(Shares, ATokenNowAndThenIsNoWork) {
  Node node;
  for (int i = 0; i < 1024; ++i) node.add(i / 64, 0, milliseconds(7 * i % 3000), true);
  EXPECT_FALSE(node.ask({.sessions = 1}));
  EXPECT_TRUE(node.ask({.sessions = 1}, seconds(6)));
  // Even those at work give way in the end, when they have more than their share.
  for (Holding& holding : node.holdings) holding.idle = milliseconds(0);
  EXPECT_FALSE(node.ask({.sessions = 1}, seconds(6)));
  EXPECT_TRUE(node.ask({.sessions = 1}, seconds(11)));
}

TEST(Shares, WhoeverWorksWithinHisShareStays) {
  Node node;
  for (int i = 0; i < 100; ++i) node.add(i, 0, milliseconds(300), true);
  EXPECT_FALSE(node.ask({.sessions = 1}, seconds(60)));
  node.holdings[42].idle = seconds(16);
  const auto given = node.ask({.sessions = 1});
  ASSERT_TRUE(given);
  EXPECT_EQ(given->end, std::vector<SessionKey>{43});
}

TEST(Shares, SessionsWithoutAStepEndFirstAndThenTheLongestIdle) {
  Node node;
  node.add(1, 0, seconds(100), true);
  node.add(2, 0, seconds(7), false);
  node.add(3, 0, seconds(200), true);
  EXPECT_EQ(node.ask({.sessions = 1})->end, std::vector<SessionKey>{2});
  EXPECT_EQ(node.ask({.sessions = 2})->end, (std::vector<SessionKey>{2, 3}));
}

TEST(Shares, AFreshSessionHasTimeForItsFirstStep) {
  Node node;
  node.add(1, 0, seconds(4), false);
  EXPECT_FALSE(node.ask({.sessions = 1}));
}

TEST(Shares, NobodyTakesHisOwn) {
  Node node;
  for (int i = 0; i < 10; ++i) node.add(1, 0, seconds(60), false);
  EXPECT_FALSE(node.ask({.sessions = 1}, seconds(60), 0, 1));
}

TEST(Shares, IdentitiesAreFreeNetworksAreNot) {
  Node node;
  for (int i = 0; i < 100; ++i) node.add(i, 7, milliseconds(100), true);  // a crowd of identities
  EXPECT_TRUE(node.ask({.sessions = 1}, seconds(11), 8)) << "their network has more than its share";
  EXPECT_FALSE(node.ask({.sessions = 1}, seconds(11), 7));
  // And the crowd takes nothing from a network with less.
  node.add(5000, 8, seconds(14), true);
  const auto given = node.ask({.sessions = 1}, seconds(11), 7);
  EXPECT_FALSE(given);
}

TEST(Shares, WhoWantsFarMoreThanAShareMakesNobodyGo) {
  Node node;
  for (int i = 0; i < 60; ++i) node.add(i, 0, seconds(60), true, 1024, 1024);
  EXPECT_FALSE(node.ask({.positions = 30'000}, seconds(60)));
  EXPECT_TRUE(node.ask({.positions = 1'000}, seconds(60)));
}

TEST(Shares, SessionsAtWorkAreNotShrunk) {
  Node node;
  for (int i = 0; i < 4; ++i) node.add(1, 0, seconds(20), true, 1024, 32).working = true;
  EXPECT_FALSE(node.ask({.positions = 100}));
  node.holdings[2].working = false;
  EXPECT_EQ(node.ask({.positions = 100})->shrink, std::vector<SessionKey>{3});
}

TEST(Shares, ALanIsOneNetwork) {
  const auto at = [](const char* text) { return network_of(*proto::parse_endpoint(text)); };
  EXPECT_EQ(at("127.0.0.1:1"), at("192.168.7.4:2"));
  EXPECT_EQ(at("[::1]:1"), at("10.1.2.3:2"));
  EXPECT_EQ(at("8.8.8.8:1"), at("8.8.8.200:2"));
  EXPECT_NE(at("8.8.8.8:1"), at("8.8.9.8:1"));
  EXPECT_EQ(at("[2a00:1:2:3::1]:1"), at("[2a00:1:2:ffff::9]:1"));
  EXPECT_NE(at("[2a00:1:2::1]:1"), at("[2a00:1:3::1]:1"));
}

TEST(WaitingLine, CountsFromTheFirstRefusalUntilServedOrGone) {
  WaitingLine line;
  EXPECT_EQ(line.refused(peer(1), seconds(100)), seconds(0));
  EXPECT_EQ(line.refused(peer(1), seconds(101)), seconds(1));
  EXPECT_EQ(line.refused(peer(1), seconds(111)), seconds(11));
  EXPECT_EQ(line.refused(peer(1), seconds(130)), seconds(0)) << "it had gone away";
  line.served(peer(1));
  EXPECT_EQ(line.refused(peer(1), seconds(131)), seconds(0));
}

TEST(WaitingLine, IsBounded) {
  WaitingLine line;
  for (int i = 0; i < 5000; ++i) line.refused(peer(i), seconds(1));
  EXPECT_LE(line.size(), 1024u);
  EXPECT_EQ(line.refused(peer(60'000), seconds(60)), seconds(0));
  EXPECT_EQ(line.size(), 1u) << "who went away makes room";
}

}  // namespace
}  // namespace shoal::node
