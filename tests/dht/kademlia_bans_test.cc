// SPDX-License-Identifier: Apache-2.0
// What the core does with peers that misbehave in a session.
#include <gtest/gtest.h>

#include "dht/kademlia.h"
#include "tests/dht/example_record.h"

namespace shoal::dht {
namespace {

const auto kVictimAt = proto::Endpoint::v4({10, 0, 0, 1}, 1);

struct KademliaBansTest : testing::Test {
  struct Peer {
    Peer(std::uint64_t seed, const proto::Endpoint& where)
        : at(where), random(seed), sessions(identity, {}, SessionConfig{}, false, random) {}
    const identity::Identity identity = identity::Identity::generate();
    const proto::Endpoint at;
    identity::Random random;
    Sessions sessions;
  };
  KademliaBansTest()
      : random(1),
        identity(identity::Identity::generate()),
        victim({}, identity, random.bytes<32>(), TimePoint(seconds(100))) {}

  // How many answers the victim gives.
  int say(Peer& peer, const std::string& message) {
    int answers = 0;
    peer.sessions.send({identity.peer_id(), kVictimAt}, message, now);
    for (bool busy = true; busy;) {
      busy = false;
      while (const auto datagram = peer.sessions.poll_transmit()) {
        busy = true;
        victim.handle_datagram(datagram->bytes, peer.at, now);
      }
      while (const auto datagram = victim.poll_transmit()) {
        busy = true;
        if (datagram->to != peer.at) continue;
        if (const auto got = peer.sessions.receive(datagram->bytes, kVictimAt, now)) {
          wire::DhtMessage answer;
          answers += answer.ParseFromString(got->message) && answer.request_id() == 7 ? 1 : 0;
        }
      }
    }
    return answers;
  }
  int ping(Peer& peer) {
    wire::DhtMessage message;
    message.set_request_id(7);
    message.mutable_ping();
    return say(peer, message.SerializeAsString());
  }
  int store(Peer& peer, bool forged) {
    wire::DhtMessage message;
    message.set_request_id(7);
    wire::Store& store = *message.mutable_store();
    *store.mutable_record() = sign_record(peer.identity, example_record(++sequence));
    if (forged) store.mutable_record()->mutable_signature()->front() ^= 1;
    store.add_keys(model_key({}, example_model()).to_bytes());
    store.set_remaining_ttl_ms(1000);
    return say(peer, message.SerializeAsString());
  }

  identity::Random random;
  TimePoint now{seconds(100)};
  const identity::Identity identity;
  Kademlia victim;
  std::uint64_t sequence = 0;
  Peer bad{2, proto::Endpoint::v4({203, 0, 113, 1}, 7000)};
  Peer neighbour{3, proto::Endpoint::v4({203, 0, 113, 1}, 8000)};
  Peer good{4, proto::Endpoint::v4({203, 0, 114, 1}, 7000)};
};

TEST_F(KademliaBansTest, AForgedRecordCostsItsSenderSilenceAndItsPlaceInTheTable) {
  EXPECT_EQ(ping(good), 1);
  EXPECT_EQ(store(bad, false), 1);
  EXPECT_NE(victim.table().find(bad.identity.peer_id()), nullptr);
  store(bad, true);
  EXPECT_EQ(victim.table().find(bad.identity.peer_id()), nullptr);
  EXPECT_EQ(victim.bans().total(), 1u);
  EXPECT_EQ(ping(bad), 0);
  EXPECT_EQ(ping(neighbour), 0);  // its address, whatever the port
  EXPECT_EQ(ping(good), 1);
  EXPECT_GT(victim.stats().drops[Drop::kBanned], 0u);
  now += seconds(16);
  EXPECT_EQ(ping(bad), 1);
}

TEST_F(KademliaBansTest, BytesThatAreNoMessageAreBadTooAndUnknownMessagesAreNot) {
  EXPECT_EQ(ping(bad), 1);
  say(bad, "\x3a\x7f");  // a field that is longer than the message
  EXPECT_EQ(ping(bad), 0);
  EXPECT_EQ(victim.bans().total(), 1u);
  wire::DhtMessage future;  // of a later version: nothing that we know
  future.set_request_id(7);
  EXPECT_EQ(say(good, future.SerializeAsString()), 0);
  EXPECT_EQ(ping(good), 1);
}

TEST_F(KademliaBansTest, AnInvalidRecordMayBeOfALaterVersionAndIsOnlyRefused) {
  wire::DhtMessage message;
  message.set_request_id(7);
  wire::Store& store = *message.mutable_store();
  wire::Record record;
  record.set_public_key(good.identity.public_key().to_bytes());
  record.set_sequence(1);
  record.set_ttl_ms(1'000'000);
  store.mutable_record()->set_payload(record.SerializeAsString());
  store.mutable_record()->set_signature(
      good.identity.sign("shoal-record-v1", store.record().payload()).to_bytes());
  store.add_keys(models_key({}).to_bytes());
  store.set_remaining_ttl_ms(1000);
  EXPECT_EQ(say(good, message.SerializeAsString()), 1);
  EXPECT_EQ(victim.bans().total(), 0u);
  EXPECT_EQ(ping(good), 1);
}

}  // namespace
}  // namespace shoal::dht
