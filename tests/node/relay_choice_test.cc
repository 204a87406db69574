// SPDX-License-Identifier: Apache-2.0
// Which relays a node tries, keeps and replaces.
#include "node/member/relay_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

RelayChoice::Time choice_time(int ms) { return RelayChoice::Time(milliseconds(1'000'000 + ms)); }

// Each in a network of its own.
proto::Endpoint relay_at(int number) {
  return proto::Endpoint::v4({8, static_cast<std::uint8_t>(number), 1, 1}, 7000);
}
proto::PeerId relay_id(int number) {
  proto::PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(number);
  return peer;
}
std::vector<RelayCandidate> candidates(int count) {
  std::vector<RelayCandidate> result;
  for (int i = 1; i <= count; ++i) result.push_back({relay_at(i), relay_id(i)});
  return result;
}
std::vector<proto::Endpoint> places(const std::vector<RelayChoice::Relay>& relays) {
  std::vector<proto::Endpoint> result;
  for (const auto& relay : relays) result.push_back(relay.at);
  return result;
}

TEST(RelayChoice, TheFirstTwoThatTakeUsAreKeptAndTheOthersLetGo) {
  RelayChoice choice;
  choice.learn(candidates(9));
  EXPECT_EQ(choice.due(choice_time(0)).size(), 4u);
  EXPECT_THAT(choice.due(choice_time(0)), IsEmpty());
  choice.took(relay_at(3), relay_id(3), choice_time(10));
  EXPECT_THAT(choice.surplus(choice_time(10)), IsEmpty());
  choice.took(relay_at(1), relay_id(1), choice_time(20));
  EXPECT_THAT(places(choice.relays()), ElementsAre(relay_at(3), relay_at(1)));
  EXPECT_THAT(choice.surplus(choice_time(20)), ElementsAre(relay_at(2), relay_at(4)));
  EXPECT_THAT(choice.surplus(choice_time(20)), IsEmpty());
  EXPECT_THAT(choice.due(choice_time(30)), IsEmpty());
  EXPECT_FALSE(choice.next(choice_time(30)).has_value());
}

TEST(RelayChoice, NeighboursRelayOnlyWhereNobodyElseDoes) {
  RelayChoice choice;
  const proto::Endpoint neighbour = proto::Endpoint::v4({192, 168, 1, 2}, 7000);
  choice.learn(std::vector<RelayCandidate>{{neighbour, relay_id(9)}, {relay_at(1), relay_id(1)}});
  EXPECT_THAT(choice.due(choice_time(0)), ElementsAre(RelayCandidate{relay_at(1), relay_id(1)}));
  choice.failed(relay_at(1), milliseconds(0), choice_time(1));
  EXPECT_THAT(choice.due(choice_time(2)), ElementsAre(RelayCandidate{neighbour, relay_id(9)}));
}

TEST(RelayChoice, ALostOneIsReplacedAtOnce) {
  RelayChoice choice;
  choice.learn(candidates(3));
  choice.due(choice_time(0));
  choice.took(relay_at(1), relay_id(1), choice_time(1));
  choice.took(relay_at(2), relay_id(2), choice_time(1));
  choice.surplus(choice_time(1));
  choice.lost(relay_at(1), choice_time(100));
  EXPECT_THAT(places(choice.relays()), ElementsAre(relay_at(2)));
  EXPECT_THAT(choice.due(choice_time(100)), ElementsAre(candidates(3)[2]));
  // The lost one too, a moment later: it may have been its link.
  EXPECT_THAT(choice.due(choice_time(1'100)), ElementsAre(candidates(3)[0]));
}

TEST(RelayChoice, OfOneNetworkTheSecondWaitsForAnother) {
  RelayChoice choice;
  const proto::Endpoint near = proto::Endpoint::v4({8, 1, 1, 2}, 7000);
  auto known = candidates(2);
  known.push_back({near, relay_id(9)});
  choice.learn(known);
  EXPECT_EQ(choice.due(choice_time(0)).size(), 3u);
  choice.took(relay_at(1), relay_id(1), choice_time(1));
  choice.took(near, relay_id(9), choice_time(2));
  EXPECT_THAT(places(choice.relays()), ElementsAre(relay_at(1)));
  {
    RelayChoice other = choice;
    other.took(relay_at(2), relay_id(2), choice_time(500));
    EXPECT_THAT(places(other.relays()), ElementsAre(relay_at(1), relay_at(2)));
    EXPECT_THAT(other.surplus(choice_time(500)), ElementsAre(near));
  }
  EXPECT_EQ(choice.next(choice_time(2)), choice_time(1'502));
  choice.due(choice_time(1'502));
  EXPECT_THAT(places(choice.relays()), ElementsAre(relay_at(1), near));
}

TEST(RelayChoice, WhoFailedIsNotTriedAgainSoonAndLaterEachTime) {
  RelayChoice choice;
  choice.learn(candidates(1));
  int now = 0;
  for (const int pause : {5'000, 10'000, 20'000}) {
    EXPECT_EQ(choice.due(choice_time(now)).size(), 1u) << pause;
    choice.failed(relay_at(1), {}, choice_time(now));
    EXPECT_THAT(choice.due(choice_time(now + pause - 1)), IsEmpty());
    EXPECT_EQ(choice.next(choice_time(now)), choice_time(now + pause));
    now += pause;
  }
  EXPECT_EQ(choice.due(choice_time(now)).size(), 1u);
  choice.failed(relay_at(1), milliseconds(300'000), choice_time(now));
  EXPECT_THAT(choice.due(choice_time(now + 299'999)), IsEmpty()) << "it said when";
  EXPECT_EQ(choice.due(choice_time(now + 300'000)).size(), 1u);
}

TEST(RelayChoice, OnePeerIsOneRelayByHoweverManyAddresses) {
  RelayChoice choice;
  choice.learn(std::vector<RelayCandidate>{
      {relay_at(1), std::nullopt}, {relay_at(2), relay_id(1)}, {relay_at(3), relay_id(1)}});
  EXPECT_EQ(choice.due(choice_time(0)).size(), 2u) << "not twice who is known to be the same";
  choice.took(relay_at(2), relay_id(1), choice_time(1));
  choice.took(relay_at(1), relay_id(1), choice_time(2));
  EXPECT_THAT(places(choice.relays()), ElementsAre(relay_at(2)));
  EXPECT_THAT(choice.surplus(choice_time(2)), ElementsAre(relay_at(1)));
  EXPECT_THAT(choice.due(choice_time(10)), IsEmpty());
}

TEST(RelayChoice, KnowsABoundedNumberAndForgetsWhoIsNoLongerNamed) {
  RelayChoice choice;
  choice.learn(candidates(200));
  for (int i = 0; i < 200; ++i) {
    for (const auto& one : choice.due(choice_time(i))) {
      EXPECT_LE(one.at.address[13], 64);
      choice.failed(one.at, milliseconds(600'000), choice_time(i));
    }
  }
  const RelayCandidate late{relay_at(201), relay_id(201)};
  choice.learn(std::vector<RelayCandidate>{late});
  EXPECT_THAT(choice.due(choice_time(300)), ElementsAre(late));
}

}  // namespace
}  // namespace shoal::node
