// SPDX-License-Identifier: Apache-2.0
// Who is let in, who is not, and for how long.
#include "net/gatekeeper.h"

#include <gtest/gtest.h>

namespace shoal::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Gatekeeper::Time kStart{std::chrono::hours(1)};

proto::Endpoint at(std::uint8_t last) { return proto::Endpoint::v4({192, 0, 2, last}, 7000); }
Network home(std::uint8_t last = 1) { return Network::of(at(last)); }
proto::PeerId peer(int number) {
  proto::PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number);
  id.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  return id;
}

// Arrives and says who it is.
Refusal enter(Gatekeeper& gate, const Network& network, const proto::PeerId& who,
              Gatekeeper::Time now) {
  if (const Refusal refusal = gate.arrive(network, now); refusal != Refusal::kNone) return refusal;
  const Refusal refusal = gate.identify(network, who, now);
  if (refusal != Refusal::kNone) gate.depart(network, std::nullopt);
  return refusal;
}

TEST(Gatekeeper, ANetworkIsAnAddressOrHalfAnIpv6Address) {
  EXPECT_EQ(home(1), Network::of(proto::Endpoint::v4({192, 0, 2, 1}, 9)));
  EXPECT_NE(home(1), home(2));
  const auto v6 = [](const char* text) { return Network::of(*proto::parse_endpoint(text)); };
  EXPECT_EQ(v6("[2001:db8::1]:1"), v6("[2001:db8::ffff:2]:2"));
  EXPECT_NE(v6("[2001:db8::1]:1"), v6("[2001:db8:0:1::1]:1"));
}

TEST(Gatekeeper, CountsConnectionsPerAddressPerPeerAndInAll) {
  GateLimits limits;
  limits.connections = 5;
  limits.connections_per_address = 3;
  limits.connections_per_peer = 2;
  Gatekeeper gate(limits);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kPeerFull);
  EXPECT_EQ(enter(gate, home(1), peer(2), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(3), kStart), Refusal::kAddressFull);
  EXPECT_EQ(enter(gate, home(2), peer(3), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(2), peer(3), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(3), peer(4), kStart), Refusal::kFull);
  gate.depart(home(1), peer(1));
  EXPECT_EQ(gate.connections(), 4u);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kNone);
}

TEST(Gatekeeper, HandshakesUnderWayAndNewConnectionsAreBoundedBeforeTls) {
  GateLimits limits;
  limits.handshakes = 3;
  limits.handshakes_per_address = 2;
  limits.arrivals = {4, 1};
  Gatekeeper gate(limits);
  EXPECT_EQ(gate.arrive(home(1), kStart), Refusal::kNone);
  EXPECT_EQ(gate.arrive(home(1), kStart), Refusal::kNone);
  EXPECT_EQ(gate.arrive(home(1), kStart), Refusal::kHandshakes);
  EXPECT_EQ(gate.arrive(home(2), kStart), Refusal::kNone);
  EXPECT_EQ(gate.arrive(home(3), kStart), Refusal::kHandshakes);
  EXPECT_EQ(gate.identify(home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(gate.identify(home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart), Refusal::kRate);
  EXPECT_EQ(enter(gate, home(1), peer(1), kStart + milliseconds(1'100)), Refusal::kNone);
}

TEST(Gatekeeper, WhoeverIsHungUpOnStaysOutForAMinuteAndItsAddressToo) {
  Gatekeeper gate;
  ASSERT_EQ(enter(gate, home(), peer(1), kStart), Refusal::kNone);
  gate.abuse(home(), peer(1), kStart);
  gate.depart(home(), peer(1));
  EXPECT_EQ(gate.arrive(home(), kStart + seconds(59)), Refusal::kAddressBanned);
  // The peer from elsewhere.
  EXPECT_EQ(enter(gate, home(2), peer(1), kStart + seconds(59)), Refusal::kPeerBanned);
  EXPECT_EQ(enter(gate, home(2), peer(2), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(), peer(1), kStart + seconds(61)), Refusal::kNone);
}

TEST(Gatekeeper, ABadNeighbourShutsOutNobodyWhoBehaved) {
  Gatekeeper gate;
  gate.praise(home(), peer(1), kStart);
  gate.abuse(home(), peer(2), kStart);
  EXPECT_EQ(enter(gate, home(), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(enter(gate, home(), peer(2), kStart), Refusal::kPeerBanned);
  EXPECT_EQ(enter(gate, home(), peer(3), kStart), Refusal::kAddressBanned) << "a new identity";
  // Bad itself, or too many of them: nobody new comes in.
  gate.abuse(home(), peer(4), kStart);
  EXPECT_EQ(enter(gate, home(), peer(1), kStart), Refusal::kNone);
  gate.abuse(home(), peer(5), kStart);
  EXPECT_EQ(gate.arrive(home(), kStart), Refusal::kAddressBanned);
  EXPECT_EQ(enter(gate, home(), peer(1), kStart + seconds(61)), Refusal::kNone);
}

TEST(Gatekeeper, GoodStandingEnds) {
  Gatekeeper gate;
  gate.praise(home(), peer(1), kStart);
  gate.abuse(home(), peer(1), kStart);
  EXPECT_EQ(gate.arrive(home(), kStart), Refusal::kAddressBanned);
  gate.praise(home(), peer(1), kStart);  // of a banned peer: not heard
  EXPECT_EQ(gate.arrive(home(), kStart), Refusal::kAddressBanned);

  gate.praise(home(2), peer(2), kStart);
  const auto later = kStart + milliseconds(proto::kStandingMs) + seconds(1);
  gate.abuse(home(2), peer(3), later);
  EXPECT_EQ(gate.arrive(home(2), later), Refusal::kAddressBanned);
}

TEST(Gatekeeper, AddressesThatOnlyFailAreBanned) {
  GateLimits limits;
  limits.failures = {3, 0.1};
  Gatekeeper gate(limits);
  const auto fail = [&] {
    const Refusal refusal = gate.arrive(home(), kStart);
    if (refusal != Refusal::kNone) return refusal;
    gate.fail(home(), kStart);
    gate.depart(home(), std::nullopt);
    return refusal;
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(fail(), Refusal::kNone);
  EXPECT_EQ(fail(), Refusal::kAddressBanned);
  EXPECT_EQ(enter(gate, home(2), peer(1), kStart), Refusal::kNone);
  EXPECT_EQ(gate.connections(), 1u);
  for (int i = 0; i < 4; ++i) gate.strike(home(2), kStart);  // peers that gRPC hangs up on
  EXPECT_EQ(gate.arrive(home(2), kStart), Refusal::kAddressBanned);
  gate.strike(home(3), kStart, 2);
  EXPECT_EQ(enter(gate, home(3), peer(2), kStart), Refusal::kNone);
  gate.strike(home(3), kStart, 2);
  EXPECT_EQ(gate.arrive(home(3), kStart), Refusal::kAddressBanned);
}

TEST(Gatekeeper, StreamsAreCountedOverAllConnectionsOfAPeerAndOfItsNeighbours) {
  GateLimits limits;
  limits.newcomer_streams = {100, 10};
  Gatekeeper gate(limits);
  const auto waits = [&](const Network& network, int who, std::uint64_t opened) {
    const Verdict verdict = gate.count(network, peer(who), opened, 0, kStart);
    EXPECT_EQ(verdict.fault, Fault::kNone);
    return std::max(verdict.hold_until - kStart, Gatekeeper::Time::duration(0));
  };
  EXPECT_EQ(waits(home(), 1, 60), seconds(0));
  EXPECT_EQ(waits(home(), 1, 60), seconds(2)) << "twenty too many";
  EXPECT_EQ(waits(home(), 1, 10), seconds(3));
  int fresh = 0;  // identities are free
  while (fresh < 100 && waits(home(), 10 + fresh, 100) == seconds(0)) ++fresh;
  EXPECT_LE(fresh, 3);
  EXPECT_EQ(waits(home(2), 200, 100), seconds(0));
}

TEST(Gatekeeper, WhoeverWorkedWithUsMayOpenManyStreamsAtOnceWhateverItsNeighboursDo) {
  Gatekeeper gate;
  gate.praise(home(), peer(1), kStart);
  for (int i = 2; i < 20; ++i) gate.count(home(), peer(i), 10'000, 0, kStart);
  const Verdict all = gate.count(home(), peer(1), proto::kMaxStreamsPerConnection, 0, kStart);
  EXPECT_EQ(all.fault, Fault::kNone);
  EXPECT_LE(all.hold_until, kStart);
  EXPECT_GT(gate.count(home(), peer(1), 100, 0, kStart).hold_until, kStart);
}

TEST(Gatekeeper, WhoeverOpensTooManyStreamsWithoutAPauseIsHungUpOn) {
  GateLimits limits;
  limits.newcomer_streams = {100, 10};
  limits.patience = seconds(10);
  Gatekeeper gate(limits);
  // As fast as it is let in.
  const auto goes_on_for = [&](const proto::PeerId& who, seconds most) {
    auto now = kStart;
    while (now < kStart + most) {
      const Verdict verdict = gate.count(home(), who, 150, 0, now);
      if (verdict.fault != Fault::kNone) {
        EXPECT_EQ(verdict.fault, Fault::kStreams);
        break;
      }
      now = std::max(now, verdict.hold_until);
    }
    return now - kStart;
  };
  const auto lasted = goes_on_for(peer(1), seconds(300));
  EXPECT_GT(lasted, seconds(10));
  EXPECT_LT(lasted, seconds(30));
  // The same number in bursts, with time between them.
  for (int i = 0; i < 20; ++i) {
    const auto now = kStart + seconds(1'000) + i * seconds(15);
    EXPECT_EQ(gate.count(home(2), peer(2), 150, 0, now).fault, Fault::kNone) << i;
  }
}

TEST(Gatekeeper, ResetsOfAPeerEndItAndThoseOfItsNeighboursCostItTime) {
  GateLimits limits;
  limits.resets = {10, 1};
  Gatekeeper gate(limits);
  EXPECT_EQ(gate.count(home(), peer(1), 10, 10, kStart).fault, Fault::kNone);
  EXPECT_EQ(gate.count(home(), peer(1), 1, 1, kStart).fault, Fault::kResets);
  for (int i = 2; i < 10; ++i) gate.count(home(), peer(i), 10, 10, kStart);
  const Verdict verdict = gate.count(home(), peer(20), 1, 1, kStart);
  EXPECT_EQ(verdict.fault, Fault::kNone);
  EXPECT_GT(verdict.hold_until, kStart);
}

TEST(Gatekeeper, RemembersNoMoreThanItMay) {
  Gatekeeper gate;
  ASSERT_EQ(enter(gate, home(), peer(1), kStart), Refusal::kNone);
  for (int i = 0; i < 50'000; ++i) {
    proto::Endpoint endpoint = *proto::parse_endpoint("[2001:db8::1]:1");
    endpoint.address[4] = static_cast<std::uint8_t>(i);
    endpoint.address[5] = static_cast<std::uint8_t>(i >> 8);
    const Network network = Network::of(endpoint);
    if (enter(gate, network, peer(i), kStart) != Refusal::kNone) continue;
    gate.abuse(network, peer(i), kStart);
    gate.depart(network, peer(i));
  }
  EXPECT_LE(gate.remembered(), 2 * proto::kMaxRemembered);
  EXPECT_EQ(gate.connections(), 1u);
  gate.depart(home(), peer(1));
  EXPECT_EQ(gate.connections(), 0u);
}

}  // namespace
}  // namespace shoal::net
