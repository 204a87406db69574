// SPDX-License-Identifier: Apache-2.0
// The race between UDP and connections towards the addresses of --join.
#include "dht/way_choice.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

using Way = WayChoice::Way;
constexpr TimePoint kBegun{seconds(50)};
const proto::Endpoint kNamed = proto::Endpoint::v4({25, 0, 0, 1}, 7000);
const proto::Endpoint kRemembered = proto::Endpoint::v4({25, 0, 0, 2}, 7000);
const proto::Endpoint kNeighbour = proto::Endpoint::v4({192, 168, 0, 2}, 7000);

// Lets the choice's own timer run until `until`.
void run(WayChoice& choice, TimePoint from, TimePoint until) {
  for (auto next = choice.next(from); next && *next <= until; next = choice.next(*next))
    choice.handle_timeout(*next);
}

TEST(WayChoice, UdpThatAnswersAtOnceNeedsNoConnection) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  run(choice, kBegun, kBegun + milliseconds(399));
  EXPECT_EQ(choice.way(), Way::kUdp);
  choice.heard_by_udp(kNamed, true, kBegun + milliseconds(399));
  run(choice, kBegun, kBegun + minutes(60));
  EXPECT_EQ(choice.way(), Way::kUdp);
  EXPECT_FALSE(choice.next(kBegun + minutes(60)));
}

TEST(WayChoice, ConnectionsStartAfterTheHeadStartAndWinAfterPatience) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  run(choice, kBegun, kBegun + milliseconds(400));
  EXPECT_EQ(choice.way(), Way::kEither);
  choice.heard_in_tunnel(kNamed, true, kBegun + milliseconds(500));
  EXPECT_EQ(choice.way(), Way::kEither) << "UDP may still answer";
  run(choice, kBegun + milliseconds(500), kBegun + milliseconds(700));
  EXPECT_EQ(choice.way(), Way::kTunnel);
}

TEST(WayChoice, UdpThatIsOnlySlowIsTaken) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  run(choice, kBegun, kBegun + milliseconds(500));
  choice.heard_in_tunnel(kNamed, true, kBegun + milliseconds(500));
  choice.heard_by_udp(kNamed, true, kBegun + milliseconds(650));
  run(choice, kBegun + milliseconds(650), kBegun + minutes(1));
  EXPECT_EQ(choice.way(), Way::kUdp);
}

TEST(WayChoice, NeitherAnswersSoBothAreTriedOn) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  run(choice, kBegun, kBegun + minutes(2));
  EXPECT_EQ(choice.way(), Way::kEither);
  choice.heard_in_tunnel(kNamed, true, kBegun + minutes(2));
  EXPECT_EQ(choice.way(), Way::kTunnel);
}

// A machine next door answers by UDP where the way to the Internet lets none pass.
TEST(WayChoice, OthersByUdpAreNoReasonWhileAConnectionAnswers) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  choice.heard_by_udp(kNeighbour, false, kBegun + milliseconds(10));
  run(choice, kBegun, kBegun + milliseconds(600));
  EXPECT_EQ(choice.way(), Way::kEither);
  choice.heard_in_tunnel(kNamed, true, kBegun + milliseconds(800));
  EXPECT_EQ(choice.way(), Way::kTunnel);

  WayChoice alone(true, UdpUse::kAuto);
  alone.asked(kBegun);
  alone.heard_by_udp(kNeighbour, false, kBegun + milliseconds(10));
  run(alone, kBegun, kBegun + seconds(2));
  EXPECT_EQ(alone.way(), Way::kUdp) << "nobody of --join lives, and the others are enough";
}

// --join leads nowhere, and peers of the last run are asked after three seconds, in both ways.
TEST(WayChoice, OthersThatAnswerInBothWaysSayThatUdpPasses) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  const TimePoint recalled = kBegun + seconds(3);
  run(choice, kBegun, recalled);
  choice.heard_by_udp(kNeighbour, false, recalled + milliseconds(1));
  choice.heard_in_tunnel(kNeighbour, false, recalled + milliseconds(5));
  choice.heard_in_tunnel(kRemembered, false, recalled + milliseconds(60));  // the quicker way
  choice.heard_by_udp(kRemembered, false, recalled + milliseconds(70));
  EXPECT_EQ(choice.way(), Way::kEither);
  run(choice, recalled + milliseconds(70), recalled + milliseconds(701));
  EXPECT_EQ(choice.way(), Way::kUdp);
}

TEST(WayChoice, OthersThatAnswerThroughConnectionsAloneSayThatUdpDoesNot) {
  for (const bool neighbour : {false, true}) {
    WayChoice choice(true, UdpUse::kAuto);
    choice.asked(kBegun);
    const TimePoint recalled = kBegun + seconds(3);
    run(choice, kBegun, recalled);
    if (neighbour) choice.heard_by_udp(kNeighbour, false, recalled + milliseconds(1));
    choice.heard_in_tunnel(kRemembered, false, recalled + milliseconds(90));
    run(choice, recalled + milliseconds(90), recalled + milliseconds(790));
    EXPECT_EQ(choice.way(), Way::kTunnel) << neighbour;
  }
  // One whose datagram was lost, among others.
  WayChoice lost(true, UdpUse::kAuto);
  lost.asked(kBegun);
  run(lost, kBegun, kBegun + seconds(3));
  lost.heard_by_udp({kNamed.address, 7001}, false, kBegun + seconds(3));
  lost.heard_in_tunnel(kRemembered, false, kBegun + seconds(3));
  run(lost, kBegun + seconds(3), kBegun + seconds(4));
  EXPECT_EQ(lost.way(), Way::kUdp);
}

TEST(WayChoice, InATunnelUdpIsTriedNowAndThen) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  run(choice, kBegun, kBegun + seconds(1));
  choice.heard_in_tunnel(kNamed, true, kBegun + seconds(1));
  ASSERT_EQ(choice.way(), Way::kTunnel);
  const TimePoint probe = kBegun + seconds(1) + WayChoice::kProbeEvery;
  run(choice, kBegun + seconds(1), probe - seconds(1));
  EXPECT_FALSE(choice.take_probe());
  run(choice, probe - seconds(1), probe);
  EXPECT_TRUE(choice.take_probe());
  EXPECT_FALSE(choice.take_probe()) << "once";
  EXPECT_TRUE(choice.is_probing(probe + milliseconds(999)));
  EXPECT_FALSE(choice.is_probing(probe + seconds(1)));
  EXPECT_EQ(choice.way(), Way::kTunnel);
  choice.heard_by_udp(kNeighbour, false, probe + milliseconds(20));
  EXPECT_EQ(choice.way(), Way::kTunnel) << "not of those that we joined by";
  choice.heard_by_udp(kNamed, true, probe + milliseconds(30));
  EXPECT_EQ(choice.way(), Way::kUdp);
  EXPECT_FALSE(choice.is_probing(probe + milliseconds(40)));
}

TEST(WayChoice, AskedAnewItRacesAgain) {
  WayChoice choice(true, UdpUse::kAuto);
  choice.asked(kBegun);
  choice.heard_by_udp(kNamed, true, kBegun + milliseconds(20));
  const TimePoint again = kBegun + minutes(10);
  choice.asked(again);
  EXPECT_EQ(choice.way(), Way::kUdp);
  choice.asked(again + milliseconds(300));  // does not begin the race again
  run(choice, again, again + milliseconds(400));
  EXPECT_EQ(choice.way(), Way::kEither);
  choice.heard_in_tunnel(kNamed, true, again + milliseconds(710));
  ASSERT_EQ(choice.way(), Way::kTunnel);
  // And from a tunnel: what stands there goes on.
  choice.asked(again + minutes(1));
  EXPECT_EQ(choice.way(), Way::kEither);
}

TEST(WayChoice, UdpOffIsForGood) {
  WayChoice choice(true, UdpUse::kOff);
  EXPECT_EQ(choice.way(), Way::kTunnel);
  choice.asked(kBegun);
  choice.heard_by_udp(kNamed, true, kBegun);
  EXPECT_EQ(choice.way(), Way::kTunnel);
  EXPECT_FALSE(choice.next(kBegun));
}

TEST(WayChoice, WithoutTunnelsThereIsOnlyUdp) {
  WayChoice choice(false, UdpUse::kAuto);
  choice.asked(kBegun);
  EXPECT_FALSE(choice.next(kBegun));
  choice.handle_timeout(kBegun + minutes(1));
  EXPECT_EQ(choice.way(), Way::kUdp);
}

}  // namespace
}  // namespace shoal::dht
