// SPDX-License-Identifier: Apache-2.0
// How a node decides in which way others reach it, and what it tells and announces: every way up
// and down the ladder.
#include "node/member/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "node/member/dial_back_budget.h"
#include "node/member/wake_watch.h"

namespace shoal::node {
namespace {

using proto::Address;
using proto::Endpoint;
using testing::ElementsAre;
using testing::HasSubstr;
using Step = Ladder::Step;

constexpr std::uint16_t kPort = 7000;
const Endpoint kHome = Endpoint::v4({192, 168, 8, 2}, kPort);
const Endpoint kRouter = Endpoint::v4({203, 0, 113, 5}, 0);

Endpoint with_port(Endpoint address, std::uint16_t port) {
  address.port = port;
  return address;
}

proto::PeerId peer_named(std::uint8_t name) {
  proto::PeerId peer;
  peer.bytes.fill(name);
  return peer;
}

Verdict verdict(Reached tcp, Reached udp, const Endpoint& seen) {
  return {tcp, udp, with_port(seen, 0), 3};
}

Address relay(std::uint8_t name) {
  return Address::through(peer_named(name), Endpoint::v4({198, 51, 100, name}, 7000));
}

net::PortMapping upnp(std::uint16_t outside) {
  return {net::MappingProtocol::kUpnp, with_port(kRouter, outside), outside,
          std::chrono::seconds(3600)};
}

class LadderTest : public testing::Test {
 protected:
  Ladder ladder_{{.port = kPort}};
  std::vector<Endpoint> own_ = {kHome};

  void begin() { ladder_.begin(true, false); }
  Step next() const { return ladder_.next(Family::kV4); }
  void judged(Reached tcp, Reached udp = Reached::kYes, const Endpoint& seen = kRouter) {
    ladder_.judged(Family::kV4, verdict(tcp, udp, seen));
  }
};

TEST_F(LadderTest, WhoIsReachedIsDirect) {
  EXPECT_EQ(ladder_.told(own_, {}), "");
  begin();
  EXPECT_EQ(next(), Step::kAsk);
  EXPECT_EQ(ladder_.port_to_ask(Family::kV4), kPort);
  judged(Reached::kYes);
  EXPECT_TRUE(ladder_.is_settled());
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kDirect);
  EXPECT_EQ(ladder_.told(own_, {}), "direct");
  EXPECT_FALSE(ladder_.wants_relays());
  EXPECT_EQ(ladder_.udp_reached(), true);
  // A router forwards the port: there is where the world finds us, and neighbours where we are.
  EXPECT_THAT(ladder_.announced(own_, {}),
              ElementsAre(Address(with_port(kRouter, kPort)), Address(kHome)));
}

TEST_F(LadderTest, WhoHasNobodyToAskIsAnnouncedAsBefore) {
  begin();
  ladder_.judged(Family::kV4, {});
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kNobodyToAsk);
  EXPECT_THAT(ladder_.announced(own_, {}), ElementsAre(Address(kHome)));
  EXPECT_THAT(ladder_.told(own_, {}), HasSubstr("nobody is there yet"));
  EXPECT_EQ(ladder_.udp_reached(), std::nullopt);
}

TEST_F(LadderTest, ARouterThatMapsIsAskedAndTheMappingProven) {
  begin();
  judged(Reached::kNo, Reached::kNo);
  EXPECT_EQ(next(), Step::kMap);
  ladder_.mapped(Family::kV4, upnp(7101));
  EXPECT_EQ(next(), Step::kAsk);
  EXPECT_EQ(ladder_.port_to_ask(Family::kV4), 7101);
  EXPECT_TRUE(ladder_.asks_udp(Family::kV4));
  judged(Reached::kYes);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kMapped);
  EXPECT_EQ(ladder_.told(own_, {}), "mapped by UPnP");
  EXPECT_THAT(ladder_.announced(own_, {}),
              ElementsAre(Address(with_port(kRouter, 7101)), Address(kHome)));
  // The next round asks for what is announced.
  begin();
  EXPECT_EQ(ladder_.port_to_ask(Family::kV4), 7101);
}

TEST_F(LadderTest, AMappingThatLeadsNowhereIsNotBelieved) {
  ladder_ = Ladder({.port = kPort, .may_relay = false});
  begin();
  judged(Reached::kNo);
  ladder_.mapped(Family::kV4, upnp(7000));
  judged(Reached::kNo);               // one more router between
  EXPECT_EQ(next(), Step::kNothing);  // nobody relays here
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kUnreached);
}

TEST_F(LadderTest, BelowTheRouterAreRelays) {
  begin();
  judged(Reached::kNo, Reached::kNo);
  ladder_.mapped(Family::kV4, absl::NotFoundError("it offers nothing"));
  EXPECT_EQ(ladder_.why_unmapped(Family::kV4), "it offers nothing");
  ASSERT_EQ(next(), Step::kRelay);
  EXPECT_TRUE(ladder_.wants_relays());
  ladder_.relayed(2);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kRelayed);
  const std::vector<Address> relays = {relay(0xaa), relay(0xbb)};
  EXPECT_EQ(ladder_.told(own_, relays),
            "through relays aaaaaaaa and bbbbbbbb; forward TCP and UDP port 7000 to this machine "
            "(192.168.8.2) for more speed");
  // Neighbours still find us at home; where the router is, nobody does.
  EXPECT_THAT(ladder_.announced(own_, relays), ElementsAre(Address(kHome), relays[0], relays[1]));
  EXPECT_EQ(ladder_.udp_reached(), false);
  // While the next round runs, they stay.
  begin();
  EXPECT_TRUE(ladder_.wants_relays());
  judged(Reached::kYes);  // somebody has opened the port
  EXPECT_FALSE(ladder_.wants_relays());
  EXPECT_EQ(ladder_.told(own_, relays), "direct");
}

// Our connections with relays let these in through many routers: they prove nothing.
TEST_F(LadderTest, WhoHasOnlyItsRelaysToAskKeepsThem) {
  begin();
  judged(Reached::kNo);
  ladder_.mapped(Family::kV4, absl::NotFoundError("the router offers nothing"));
  ladder_.relayed(2);
  ASSERT_EQ(ladder_.rung(Family::kV4), Rung::kRelayed);
  for (const bool is_elsewhere : {false, true}) {
    if (is_elsewhere) ladder_.forget();
    begin();
    ASSERT_EQ(next(), Step::kAsk);
    EXPECT_EQ(ladder_.only_relays_to_ask(Family::kV4), Step::kRelay);
    EXPECT_TRUE(ladder_.wants_relays());
    ladder_.relayed(2);
    EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kRelayed);
  }
  // Who was found to be reached otherwise stays so, until not even they come in.
  begin();
  judged(Reached::kYes);
  for (const Reached reached : {Reached::kYes, Reached::kUnknown}) {
    begin();
    ASSERT_EQ(ladder_.only_relays_to_ask(Family::kV4), Step::kAsk);
    judged(reached);
    EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kDirect);
    EXPECT_TRUE(ladder_.is_settled());
  }
  begin();
  for (int word = 0; word < 2; ++word) {
    ASSERT_EQ(ladder_.only_relays_to_ask(Family::kV4), Step::kAsk);
    judged(Reached::kNo);
  }
  EXPECT_EQ(next(), Step::kMap);
}

TEST_F(LadderTest, WhereHelpersSawUsIsNoOtherNetwork) {
  const Endpoint outside = with_port(kRouter, kPort), other = Endpoint::v4({10, 0, 0, 7}, kPort);
  EXPECT_TRUE(ladder_.is_elsewhere(own_, std::vector<Endpoint>{kHome, outside}))
      << "nobody has seen us yet";
  begin();
  judged(Reached::kNo);
  EXPECT_FALSE(ladder_.is_elsewhere(own_, own_));
  EXPECT_FALSE(ladder_.is_elsewhere(own_, std::vector<Endpoint>{kHome, outside}));
  EXPECT_TRUE(ladder_.is_elsewhere(own_, std::vector<Endpoint>{kHome, other}));
  EXPECT_TRUE(ladder_.is_elsewhere(own_, std::vector<Endpoint>{outside})) << "home is gone";
  EXPECT_TRUE(ladder_.is_elsewhere(std::vector<Endpoint>{}, own_)) << "the first ones";
}

TEST_F(LadderTest, WhereTheRouterTurnsNothingBackNeighboursMeetByARelay) {
  EXPECT_FALSE(ladder_.untried_from_inside(own_));
  begin();
  EXPECT_FALSE(ladder_.untried_from_inside(own_));
  judged(Reached::kNo);
  ladder_.mapped(Family::kV4, upnp(7010));
  judged(Reached::kYes);
  // What the world sees, not what the machine has: tried once.
  EXPECT_EQ(ladder_.untried_from_inside(own_), with_port(kRouter, 7010));
  EXPECT_FALSE(ladder_.wants_relays());
  ladder_.tried_from_inside(false);
  EXPECT_FALSE(ladder_.untried_from_inside(own_));
  EXPECT_TRUE(ladder_.wants_relays());
  // It is reached as before, and through relays besides.
  ladder_.relayed(1);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kMapped);
  EXPECT_EQ(ladder_.told(own_, std::vector{relay(1)}), "mapped by UPnP");
  EXPECT_THAT(ladder_.announced(own_, std::vector{relay(1)}),
              ElementsAre(Address(with_port(kRouter, 7010)), Address(kHome), relay(1)));
  // Another mapping is another question; a router that turns back needs no relay.
  begin();
  judged(Reached::kYes);
  EXPECT_FALSE(ladder_.untried_from_inside(own_));
  ladder_.remap(Family::kV4, upnp(7020));
  EXPECT_FALSE(ladder_.wants_relays());
  EXPECT_EQ(ladder_.untried_from_inside(own_), with_port(kRouter, 7020));
  ladder_.tried_from_inside(true);
  EXPECT_FALSE(ladder_.wants_relays());
}

TEST_F(LadderTest, WhoHasAPublicAddressOrNoRelayTriesNothingFromInside) {
  const std::vector<Endpoint> open = {with_port(kRouter, kPort)};
  begin();
  judged(Reached::kYes);
  EXPECT_FALSE(ladder_.untried_from_inside(open));
  EXPECT_TRUE(ladder_.untried_from_inside(own_));
  Ladder alone{{.port = kPort, .may_relay = false}};
  alone.begin(true, false);
  alone.judged(Family::kV4, verdict(Reached::kYes, Reached::kYes, kRouter));
  EXPECT_FALSE(alone.untried_from_inside(own_));
}

TEST_F(LadderTest, WithoutARelayItSaysWhatToForward) {
  begin();
  judged(Reached::kNo);
  ladder_.mapped(Family::kV4, absl::NotFoundError(""));
  ladder_.relayed(0);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kUnreached);
  EXPECT_THAT(ladder_.told(own_, {}), HasSubstr("forward TCP and UDP port 7000 to this machine"));
  EXPECT_TRUE(ladder_.wants_relays());  // one may come
  ladder_.relayed(1);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kRelayed);
}

TEST_F(LadderTest, WhoWasReachedFallsOnlyWhenItIsSaidTwice) {
  begin();
  judged(Reached::kYes);
  begin();
  judged(Reached::kNo);
  EXPECT_EQ(next(), Step::kAsk);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kDirect);
  judged(Reached::kYes);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kDirect);
  begin();
  judged(Reached::kNo);
  judged(Reached::kNo);
  EXPECT_EQ(next(), Step::kMap);
  // And what nobody says anything about stays as it was.
  begin();
  ladder_.judged(Family::kV4, {});
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kDirect);
}

TEST_F(LadderTest, ARouterThatForgotIsAskedAgain) {
  begin();
  judged(Reached::kNo);
  ladder_.mapped(Family::kV4, upnp(7000));
  judged(Reached::kYes);
  begin();
  judged(Reached::kNo);
  judged(Reached::kNo);
  EXPECT_EQ(next(), Step::kMap);
  ladder_.mapped(Family::kV4, upnp(7000));
  judged(Reached::kYes);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kMapped);
}

TEST_F(LadderTest, AModeThatIsToldAsksNoRouter) {
  ladder_ = Ladder({.mode = ReachMode::kDirect, .port = kPort});
  begin();
  judged(Reached::kNo);
  EXPECT_EQ(ladder_.rung(Family::kV4), Rung::kUnreached);
  EXPECT_FALSE(ladder_.wants_relays());
  EXPECT_THAT(ladder_.announced(own_, {}), ElementsAre(Address(kHome)));
  EXPECT_THAT(ladder_.told(own_, {}), HasSubstr("as told, but others do not reach it"));
  ladder_ = Ladder({.mode = ReachMode::kRelay, .port = kPort});
  begin();
  EXPECT_EQ(next(), Step::kRelay);
}

TEST_F(LadderTest, WhatIsAnnouncedByHandStays) {
  ladder_ = Ladder({.port = kPort, .told_ports = {9000, 0}, .may_map = false});
  own_ = {with_port(kRouter, 9000)};
  begin();
  EXPECT_EQ(ladder_.port_to_ask(Family::kV4), 9000);
  judged(Reached::kNo);
  ladder_.relayed(1);
  EXPECT_THAT(ladder_.announced(own_, std::vector{relay(1)}),
              ElementsAre(Address(with_port(kRouter, 9000)), relay(1)));
}

TEST_F(LadderTest, EachFamilyHasItsRung) {
  const Endpoint v6 = *proto::parse_endpoint("[2001:db8::2]:7000");
  own_.push_back(v6);
  ladder_.begin(true, true);
  ladder_.judged(Family::kV6, verdict(Reached::kYes, Reached::kYes, v6));
  judged(Reached::kNo, Reached::kNo);
  ladder_.mapped(Family::kV4, absl::NotFoundError(""));
  EXPECT_TRUE(ladder_.wants_relays());  // whoever has only IPv4
  ladder_.relayed(1);
  EXPECT_TRUE(ladder_.is_settled());
  const std::vector<Address> relays = {relay(1)};
  EXPECT_THAT(ladder_.announced(own_, relays), ElementsAre(Address(v6), Address(kHome), relay(1)));
  EXPECT_THAT(ladder_.told(own_, relays), HasSubstr("IPv4 through relay 01010101; "));
  EXPECT_THAT(ladder_.told(own_, relays), HasSubstr("; IPv6 direct"));
  EXPECT_EQ(ladder_.udp_reached(), true);
}

TEST_F(LadderTest, IPv6ThatIsClosedNeedsNoRelayBesideIPv4) {
  const Endpoint v6 = *proto::parse_endpoint("[2001:db8::2]:7000");
  own_.push_back(v6);
  ladder_.begin(true, true);
  judged(Reached::kYes);
  ladder_.judged(Family::kV6, verdict(Reached::kNo, Reached::kNo, v6));
  ladder_.mapped(Family::kV6, absl::NotFoundError(""));
  EXPECT_FALSE(ladder_.wants_relays());
  ladder_.relayed(0);
  EXPECT_THAT(ladder_.announced(own_, {}),
              ElementsAre(Address(with_port(kRouter, kPort)), Address(kHome)));
}

// --- words of helpers

DialBackAnswer answer(const Endpoint& seen, DialOutcome tcp, DialOutcome udp) {
  return {{}, seen, tcp, udp};
}

TEST(VerdictTest, MostHelpersDecide) {
  const std::vector<Endpoint> own = {kHome};
  using enum DialOutcome;
  EXPECT_EQ(judge({}, own).tcp, Reached::kUnknown);
  const std::vector<DialBackAnswer> mixed = {answer(kRouter, kReached, kSilent),
                                             answer(kRouter, kSilent, kSilent),
                                             answer(kRouter, kRefused, kReached)};
  EXPECT_EQ(judge(mixed, own), verdict(Reached::kNo, Reached::kNo, kRouter));
  const auto two = std::span(mixed).first(2);
  EXPECT_EQ(judge(two, own).tcp, Reached::kYes);  // one came through
  const std::vector<DialBackAnswer> vain = {answer(kRouter, kUntried, kNotAsked)};
  EXPECT_EQ(judge(vain, own).tcp, Reached::kUnknown);
}

TEST(VerdictTest, NeighboursDoNotSpeakForTheWorld) {
  const std::vector<Endpoint> own = {kHome};
  using enum DialOutcome;
  std::vector<DialBackAnswer> answers(3, answer(kHome, kReached, kReached));
  EXPECT_EQ(judge(answers, own), verdict(Reached::kYes, Reached::kYes, kHome));
  answers.push_back(answer(kRouter, kSilent, kSilent));
  const Verdict far = judge(answers, own);
  EXPECT_EQ(far.tcp, Reached::kNo);
  EXPECT_EQ(far.helpers, 1u);
  EXPECT_EQ(far.seen, kRouter);
  // Nor those that a bridge or a tunnel of this machine leads to, which is not announced.
  const Endpoint bridge = Endpoint::v4({172, 17, 0, 1}, 0);
  answers = {answer(bridge, kSilent, kSilent), answer(kRouter, kReached, kReached)};
  EXPECT_EQ(judge(answers, std::vector<Endpoint>{kHome, bridge}).tcp, Reached::kYes);
  EXPECT_EQ(judge(answers, std::vector<Endpoint>{kHome, bridge}).helpers, 1u);
  // Nor does this machine for itself.
  answers = {answer(Endpoint::v4({127, 0, 0, 1}, 5), kReached, kReached)};
  EXPECT_EQ(judge(answers, own).tcp, Reached::kUnknown);
}

TEST(VerdictTest, IsSettledWhenNobodyCouldTurnIt) {
  using enum DialOutcome;
  std::vector<DialBackAnswer> answers(2, answer(kRouter, kReached, kReached));
  EXPECT_FALSE(is_settled(answers, 3));
  answers.push_back(answers[0]);
  EXPECT_TRUE(is_settled(answers, 2));
  answers[0].udp = kSilent;
  EXPECT_FALSE(is_settled(answers, 2));
  EXPECT_TRUE(is_settled(answers, 0));
}

TEST(HelperTest, OtherNetworksFirstRelaysLastAndNeverOurOwnMachine) {
  identity::Random random(identity::Random::Seed{});
  const auto helper = [](std::uint8_t name, std::array<std::uint8_t, 4> at, bool is_relay = false) {
    return Helper{peer_named(name), Endpoint::v4(at, 7000), is_relay};
  };
  const std::vector<Helper> known = {
      helper(1, {203, 0, 113, 1}),
      helper(2, {203, 0, 113, 2}),
      helper(3, {198, 51, 100, 3}, true),
      helper(4, {192, 168, 8, 4}),
      helper(5, {192, 168, 8, 2}),  // ours
      helper(6, {127, 0, 0, 1}),
      helper(7, {192, 0, 2, 7}),
      Helper{peer_named(8), *proto::parse_endpoint("[2001:db8::8]:7000"), false}};
  const std::vector<Endpoint> own = {kHome};
  const auto chosen = choose_helpers(known, own, true, 5, random);
  ASSERT_EQ(chosen.size(), 5u);
  std::set<std::uint8_t> first;
  for (std::size_t i = 0; i < 2; ++i) first.insert(chosen[i].peer.bytes[0]);
  EXPECT_TRUE(first.contains(7));
  EXPECT_TRUE(first.contains(1) != first.contains(2));
  EXPECT_EQ(chosen[3].peer, peer_named(4));  // a neighbour
  EXPECT_EQ(chosen[4].peer, peer_named(3));  // a relay
  EXPECT_EQ(choose_helpers(known, own, false, 5, random).size(), 1u);
  EXPECT_EQ(choose_helpers(known, own, true, 2, random).size(), 2u);
  // Under another of this machine's addresses, which is not announced: where it is the only one,
  // there is nobody to ask.
  const std::vector<Endpoint> machine = {kHome, Endpoint::v4({203, 0, 113, 2}, 0)};
  EXPECT_TRUE(choose_helpers({helper(2, {203, 0, 113, 2})}, machine, true, 5, random).empty());
}

// --- what we do for others

TEST(DialBackBudgetTest, EachPeerAddressAndEverybodyHaveTheirShare) {
  const DialBackBudget::Time start{};
  DialBackLimits limits;
  limits.peer = {2, 0.1};
  limits.address = {3, 0.1};
  limits.all = {5, 1};
  limits.at_once = 100;
  DialBackBudget budget(limits, start);
  const auto at = [](std::uint8_t last) {
    return net::Network::of(Endpoint::v4({203, 0, 113, last}, 1));
  };
  EXPECT_TRUE(budget.begin(peer_named(1), at(1), start));
  EXPECT_TRUE(budget.begin(peer_named(1), at(1), start));
  EXPECT_FALSE(budget.begin(peer_named(1), at(1), start));  // the peer's
  EXPECT_TRUE(budget.begin(peer_named(2), at(1), start));
  EXPECT_FALSE(budget.begin(peer_named(3), at(1), start));  // the address's, with a new identity
  EXPECT_TRUE(budget.begin(peer_named(3), at(2), start));
  EXPECT_TRUE(budget.begin(peer_named(4), at(3), start));
  EXPECT_FALSE(budget.begin(peer_named(5), at(4), start));  // of all
  EXPECT_TRUE(budget.begin(peer_named(5), at(4), start + std::chrono::seconds(1)));
  EXPECT_EQ(budget.under_way(), 6u);
}

TEST(DialBackBudgetTest, FewAtOnceAndBoundedMemory) {
  DialBackBudget::Time now{};
  DialBackLimits limits;
  limits.at_once = 1;
  limits.remembered = 4;
  limits.all = {1'000, 1'000};
  DialBackBudget budget(limits, now);
  const auto network = net::Network::of(kRouter);
  EXPECT_TRUE(budget.begin(peer_named(1), network, now));
  EXPECT_FALSE(budget.begin(peer_named(2), network, now));
  budget.end();
  for (std::uint8_t name = 2; name < 40; ++name) {
    if (budget.begin(peer_named(name), net::Network::of(Endpoint::v4({10, 0, 0, name}, 1)), now))
      budget.end();
  }
  EXPECT_LE(budget.remembered(), 8u);
  // Whoever rested long enough makes room for others.
  now += std::chrono::hours(1);
  EXPECT_TRUE(budget.begin(peer_named(99), net::Network::of(Endpoint::v4({10, 9, 9, 9}, 1)), now));
}

TEST(WakeWatchTest, TellsAStopAndASleepFromABusyMachine) {
  using std::chrono::seconds;
  WakeWatch watch;
  EXPECT_FALSE(watch.woke(seconds(100), seconds(500), seconds(2)));
  EXPECT_FALSE(watch.woke(seconds(102), seconds(502), seconds(2)));
  EXPECT_FALSE(watch.woke(seconds(107), seconds(507), seconds(2)));   // late
  EXPECT_TRUE(watch.woke(seconds(137), seconds(537), seconds(2)));    // stopped
  EXPECT_TRUE(watch.woke(seconds(139), seconds(4'139), seconds(2)));  // slept
  EXPECT_FALSE(watch.woke(seconds(141), seconds(4'141), seconds(2)));
}

}  // namespace
}  // namespace shoal::node
