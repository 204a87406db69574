// SPDX-License-Identifier: Apache-2.0
// Dial-backs as others see them: whom a core dials for whom, how often, and with how many bytes.
#include <gtest/gtest.h>

#include "dht/kademlia.h"
#include "dht/tunnel_endpoint.h"
#include "proto/endpoint.h"
#include "tests/dht/session_ends.h"

namespace shoal::dht {
namespace {

const TimePoint kStart{seconds(100)};
const auto kCoreAt = proto::Endpoint::v4({93, 184, 216, 1}, 7000);
const auto kAskerAt = proto::Endpoint::v4({151, 101, 1, 2}, 7000);
const auto kThirdAt = proto::Endpoint::v4({185, 15, 59, 3}, 7000);

// A peer that speaks the protocol and says what a test wants.
struct Peer {
  Peer(std::uint8_t number, const proto::Endpoint& at)
      : identity(identity::identity_of(number)),
        endpoint(at),
        random(std::uint64_t{number}),
        sessions(identity, std::nullopt, SessionConfig{}, false, random) {}
  Contact contact() const { return {identity.peer_id(), endpoint, identity.public_key()}; }

  identity::Identity identity;
  proto::Endpoint endpoint;
  identity::Random random;
  Sessions sessions;
  std::vector<wire::DhtMessage> heard;
  std::vector<Sessions::Delivery> deliveries;
  std::size_t bytes = 0;  // that came
};

struct DialTest : testing::Test {
  DialTest()
      : core({}, identity::identity_of(2), identity::Random(std::uint64_t{2}).bytes<32>(), kStart) {
  }

  void carry() {
    for (bool busy = true; busy;) {
      busy = false;
      for (Peer* peer : peers) {
        while (const auto datagram = peer->sessions.poll_transmit()) {
          busy = true;
          core.handle_datagram(datagram->bytes, peer->endpoint, now);
        }
      }
      while (const auto datagram = core.poll_transmit()) {
        busy = true;
        for (Peer* peer : peers) {
          if (peer->endpoint != datagram->to) continue;
          peer->bytes += datagram->bytes.size();
          auto got = peer->sessions.receive(datagram->bytes, kCoreAt, now);
          if (!got) continue;
          wire::DhtMessage message;
          EXPECT_TRUE(message.ParseFromString(got->message));
          peer->heard.push_back(message);
          peer->deliveries.push_back(*std::move(got));
        }
      }
    }
  }
  void say(Peer& peer, const wire::DhtMessage& message) {
    peer.sessions.send(
        {identity::identity_of(2).peer_id(), kCoreAt, identity::identity_of(2).public_key()},
        message.SerializeAsString(), now);
    carry();
  }
  // The last that the peer heard of this kind.
  static wire::DhtMessage last(const Peer& peer, wire::DhtMessage::BodyCase kind) {
    for (auto it = peer.heard.rbegin(); it != peer.heard.rend(); ++it) {
      if (it->body_case() == kind) return *it;
    }
    return {};
  }
  static std::size_t count(const Peer& peer, wire::DhtMessage::BodyCase kind) {
    return static_cast<std::size_t>(
        std::count_if(peer.heard.begin(), peer.heard.end(),
                      [&](const auto& message) { return message.body_case() == kind; }));
  }
  // The third peer is in the core's table and answers it.
  void introduce_third() {
    core.restore({third.contact()}, true, now);
    carry();
  }
  static wire::DhtMessage dial_back(std::uint64_t token) {
    wire::DhtMessage message;
    message.set_request_id(7);
    message.set_client_mode(true);
    message.mutable_dial_back()->set_token(token);
    return message;
  }
  wire::DhtMessage dial(const Peer& target, std::uint64_t token = 99) const {
    wire::DhtMessage message;
    message.set_request_id(7);
    message.set_client_mode(true);
    message.mutable_dial()->set_public_key(target.identity.public_key().to_bytes());
    message.mutable_dial()->set_address(proto::encode_endpoint(target.endpoint));
    message.mutable_dial()->set_token(token);
    return message;
  }

  TimePoint now = kStart;
  Kademlia core;
  Peer asker{1, kAskerAt}, third{3, kThirdAt};
  std::vector<Peer*> peers = {&asker, &third};
};

using Message = wire::DhtMessage;

TEST_F(DialTest, AHelperAsksAThirdPeerAndAnswersWhenThatOneSaidYes) {
  introduce_third();
  say(asker, dial_back(99));
  const Message dial = last(third, Message::kDial);
  ASSERT_EQ(dial.body_case(), Message::kDial);
  EXPECT_EQ(dial.dial().token(), 99u);
  EXPECT_EQ(dial.dial().public_key(), asker.identity.public_key().to_bytes());
  EXPECT_EQ(dial.dial().address(), proto::encode_endpoint(kAskerAt)) << "from where it asked";
  EXPECT_EQ(count(asker, Message::kDialedBack), 0u) << "not before the third peer's answer";
  Message yes;
  yes.set_request_id(dial.request_id());
  yes.mutable_dialed()->set_accepted(true);
  third.sessions.respond(third.deliveries.back(), yes.SerializeAsString(), now);
  carry();
  EXPECT_TRUE(last(asker, Message::kDialedBack).dialed_back().accepted());
  EXPECT_EQ(last(asker, Message::kDialedBack).request_id(), 7u);
}

// Nobody else could ask it, and no datagram reaches it: whatever it says of itself.
TEST_F(DialTest, WhoComesThroughAConnectionIsToldOfToNobodyAndDialledByNobody) {
  introduce_third();
  Peer tunnelled{4, tunnel_endpoint(kAskerAt, 1)};
  peers.push_back(&tunnelled);
  Message ping;
  ping.set_request_id(7);
  ping.mutable_ping();
  say(tunnelled, ping);
  EXPECT_EQ(last(tunnelled, Message::kPong).body_case(), Message::kPong);
  EXPECT_TRUE(last(tunnelled, Message::kPong).pong().observed_address().empty());
  EXPECT_EQ(core.table().find(tunnelled.identity.peer_id()), nullptr);
  say(tunnelled, dial_back(99));
  EXPECT_EQ(count(third, Message::kDial), 0u);
  EXPECT_FALSE(last(tunnelled, Message::kDialedBack).dialed_back().accepted());
}

TEST_F(DialTest, AHelperWhoseThirdPeerIsSilentSaysNo) {
  introduce_third();
  say(asker, dial_back(99));
  for (int i = 0; i < 40; ++i) {
    now += milliseconds(100);
    core.handle_timeout(now);
    carry();
  }
  ASSERT_EQ(count(asker, Message::kDialedBack), 1u);
  EXPECT_FALSE(last(asker, Message::kDialedBack).dialed_back().accepted());
}

TEST_F(DialTest, AHelperWithoutAnyoneElseSaysNo) {
  say(asker, dial_back(99));
  ASSERT_EQ(count(asker, Message::kDialedBack), 1u);
  EXPECT_FALSE(last(asker, Message::kDialedBack).dialed_back().accepted());
}

TEST_F(DialTest, TheThirdPeerIsOfAnotherNetwork) {
  third.endpoint = proto::Endpoint::v4({151, 101, 77, 3}, 7000);  // the asker's /16
  introduce_third();
  say(asker, dial_back(99));
  EXPECT_EQ(count(third, Message::kDial), 0u);
  EXPECT_FALSE(last(asker, Message::kDialedBack).dialed_back().accepted());
}

TEST_F(DialTest, NobodyIsDialedForAnAddressThatIsNotProven) {
  introduce_third();
  ASSERT_TRUE(asker.sessions.ask(
      {identity::identity_of(2).peer_id(), kCoreAt, identity::identity_of(2).public_key()},
      dial_back(99).SerializeAsString(), kMaxReplyBytes, now));
  carry();
  EXPECT_EQ(count(third, Message::kDial), 0u);
  EXPECT_EQ(core.stats().drops[Drop::kBody], 1u);
}

TEST_F(DialTest, WhoIsAskedToDialSendsOnePing) {
  Peer target(5, proto::Endpoint::v4({142, 250, 1, 9}, 7000));
  peers.push_back(&target);
  say(third, dial(target));
  EXPECT_TRUE(last(third, Message::kDialed).dialed().accepted());
  ASSERT_EQ(target.heard.size(), 1u);
  EXPECT_EQ(target.heard[0].ping().token(), 99u);
  EXPECT_EQ(target.deliveries[0].via, Sessions::Via::kQuestion) << "unasked, without a session";
  // Not one byte more than twice the request that caused it, and never again.
  EXPECT_LE(target.bytes,
            2 * (kSealBytes + kMessageHeaderBytes + kTagBytes + dial(target).ByteSizeLong()));
  for (int i = 0; i < 100; ++i) {
    now += milliseconds(100);
    core.handle_timeout(now);
    carry();
  }
  EXPECT_EQ(target.heard.size(), 1u);
  EXPECT_EQ(core.stats().dials, 1u);
}

TEST_F(DialTest, DialsAreFewForEachAskersNetwork) {
  const auto burst = static_cast<std::uint64_t>(ReachabilityConfig{}.help_network.burst);
  Peer target(5, proto::Endpoint::v4({142, 250, 1, 9}, 7000));
  for (int i = 0; i < 50; ++i) say(third, dial(target));
  EXPECT_EQ(core.stats().dials, burst);
  EXPECT_FALSE(last(third, Message::kDialed).dialed().accepted());
}

TEST_F(DialTest, PrivateAddressesAndNonsenseAreNotDialed) {
  Peer lan(5, proto::Endpoint::v4({192, 168, 1, 1}, 53));
  say(third, dial(lan));
  EXPECT_FALSE(last(third, Message::kDialed).dialed().accepted());
  third.heard.clear();
  Peer target(6, proto::Endpoint::v4({142, 250, 1, 9}, 7000));
  for (const auto& spoil : std::vector<std::function<void(wire::Dial&)>>{
           [](wire::Dial& dial) { dial.set_public_key("short"); },
           [](wire::Dial& dial) { dial.set_address("short"); },
           [](wire::Dial& dial) { dial.set_token(0); },
           [](wire::Dial& dial) {
             dial.set_public_key(identity::identity_of(2).public_key().to_bytes());
           },
           [](wire::Dial& dial) {
             dial.set_public_key(identity::identity_of(3).public_key().to_bytes());
           }}) {
    Message message = dial(target);
    spoil(*message.mutable_dial());
    say(third, message);
    ASSERT_EQ(count(third, Message::kDialed), 1u);
    EXPECT_FALSE(last(third, Message::kDialed).dialed().accepted());
    third.heard.clear();
  }
  EXPECT_EQ(core.stats().dials, 0u);
}

TEST_F(DialTest, APeerInClientModeLeavesTheTableByItsAnswers) {
  introduce_third();
  ASSERT_NE(core.table().find(third.identity.peer_id()), nullptr);
  const auto id = core.find(models_key({}), now);
  carry();
  ASSERT_EQ(last(third, Message::kFind).body_case(), Message::kFind);
  Message found;
  found.set_request_id(last(third, Message::kFind).request_id());
  found.set_client_mode(true);
  found.mutable_found();
  third.sessions.respond(third.deliveries.back(), found.SerializeAsString(), now);
  carry();
  EXPECT_EQ(core.table().find(third.identity.peer_id()), nullptr);
  const auto event = core.poll_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->id, id);
  EXPECT_EQ(event->answered, 1u) << "what it said counts";
}

}  // namespace
}  // namespace shoal::dht
