// SPDX-License-Identifier: Apache-2.0
// The core against a peer that holds a proper session and says what it likes.
#include "dht/kademlia.h"

#include <gtest/gtest.h>

#include "tests/dht/example_record.h"

namespace shoal::dht {
namespace {

const TimePoint kNow{seconds(100)};
const auto kVictimAt = proto::Endpoint::v4({10, 0, 0, 1}, 1);
const auto kPeerAt = proto::Endpoint::v4({10, 0, 0, 2}, 2);

struct KademliaTest : testing::Test {
  KademliaTest()
      : identity(identity::Identity::generate()),
        peer(identity::Identity::generate()),
        random(9),
        victim(forgiving(), identity, random.bytes<32>(), kNow),
        sessions(peer, {}, SessionConfig{}, false, random) {}

  // kademlia_bans_test.cc tells what a peer may not do twice.
  static KademliaConfig forgiving() {
    KademliaConfig config;
    config.bans.first = config.bans.longest = Duration(0);
    return config;
  }

  // Sends from the peer and carries the traffic; the messages that come back, and their bytes.
  std::vector<wire::DhtMessage> say(const std::string& message) {
    std::vector<wire::DhtMessage> answers;
    sessions.send({identity.peer_id(), kVictimAt}, message, kNow);
    for (bool busy = true; busy;) {
      busy = false;
      while (const auto datagram = sessions.poll_transmit()) {
        busy = true;
        victim.handle_datagram(datagram->bytes, kPeerAt, kNow);
      }
      while (const auto datagram = victim.poll_transmit()) {
        busy = true;
        if (datagram->to != kPeerAt) continue;
        if (const auto got = sessions.receive(datagram->bytes, kVictimAt, kNow)) {
          wire::DhtMessage answer;
          EXPECT_TRUE(answer.ParseFromString(got->message));
          answers.push_back(answer);
        }
      }
    }
    return answers;
  }
  wire::DhtMessage ask(const wire::DhtMessage& message) {
    for (const wire::DhtMessage& answer : say(message.SerializeAsString())) {
      if (answer.request_id() == message.request_id()) return answer;
    }
    return {};
  }

  identity::Identity identity, peer;
  identity::Random random;
  Kademlia victim;
  Sessions sessions;
};

wire::DhtMessage find_message(const std::string& target, bool records = true,
                              std::uint32_t cursor = 0) {
  wire::DhtMessage message;
  message.set_request_id(77);
  message.set_client_mode(true);
  message.mutable_find()->set_target(target);
  message.mutable_find()->set_want_records(records);
  message.mutable_find()->set_cursor(cursor);
  return message;
}

wire::DhtMessage store_message(const identity::Identity& owner, const Record& record,
                               const Key& key) {
  wire::DhtMessage message;
  message.set_request_id(77);
  message.set_client_mode(true);
  *message.mutable_store()->mutable_record() = sign_record(owner, record);
  message.mutable_store()->add_keys(key.to_bytes());
  message.mutable_store()->set_remaining_ttl_ms(proto::kMaxRecordTtlMs);
  return message;
}

TEST_F(KademliaTest, AnswersPingFindAndStore) {
  wire::DhtMessage ping;
  ping.set_request_id(5);
  ping.mutable_ping();
  EXPECT_EQ(ask(ping).pong().observed_address(), std::string("\x0a\0\0\2\0\2", 6));
  EXPECT_EQ(victim.stats().contacts, 1u);
  const Key key = model_key({}, example_model());
  EXPECT_TRUE(ask(store_message(peer, example_record(1), key)).stored().accepted(0));
  const wire::DhtMessage found = ask(find_message(key.to_bytes()));
  ASSERT_EQ(found.found().records_size(), 1);
  EXPECT_EQ(found.found().total_records(), 1u);
  EXPECT_TRUE(verify_record(found.found().records(0).record()).ok());
  EXPECT_EQ(ask(find_message(key.to_bytes(), false)).found().records_size(), 0);
}

TEST_F(KademliaTest, ManyRecordsComeInPages) {
  const Key key = models_key({});
  std::set<std::string> stored;
  for (int i = 0; i < 40; ++i) {
    const wire::DhtMessage store =
        store_message(identity::Identity::generate(), example_record(1), key);
    EXPECT_TRUE(ask(store).stored().accepted(0));
    stored.insert(store.store().record().payload());
  }
  std::set<std::string> seen;
  std::uint32_t cursor = 0;
  int pages = 0;
  do {
    const wire::DhtMessage answer = ask(find_message(key.to_bytes(), true, cursor));
    ASSERT_GT(answer.found().records_size(), 0);
    EXPECT_EQ(answer.found().total_records(), 40u);
    for (const auto& record : answer.found().records()) seen.insert(record.record().payload());
    cursor = answer.found().next_cursor();
    ASSERT_LT(++pages, 40);
  } while (cursor != 0);
  EXPECT_EQ(seen, stored);
  EXPECT_LE(pages, 10);
  EXPECT_EQ(ask(find_message(key.to_bytes(), true, 1000)).found().records_size(), 0);
}

TEST_F(KademliaTest, RefusesBadStoresWithAReason) {
  const Key key = model_key({}, example_model());
  wire::DhtMessage wrong = store_message(peer, example_record(1), Key{});
  EXPECT_FALSE(ask(wrong).stored().accepted(0));
  EXPECT_EQ(ask(wrong).stored().reason(), "wrong key");
  wire::DhtMessage forged = store_message(peer, example_record(1), key);
  forged.mutable_store()->mutable_record()->mutable_signature()->back() ^= 1;
  EXPECT_EQ(ask(forged).stored().reason(), "forged");
  wire::DhtMessage malformed = store_message(peer, example_record(1), key);
  malformed.mutable_store()->add_keys("short");
  EXPECT_EQ(ask(malformed).body_case(), wire::DhtMessage::BODY_NOT_SET);
  for (int i = 0; i < 10; ++i) malformed.mutable_store()->set_keys(1, key.to_bytes());
  EXPECT_TRUE(ask(malformed).stored().accepted(1));
  EXPECT_EQ(victim.stats().records, 1u);
}

TEST_F(KademliaTest, NonsenseInsideASessionIsCountedAndDropped) {
  wire::DhtMessage ping;
  ping.set_request_id(1);
  ping.mutable_ping();
  say(ping.SerializeAsString());
  const Key key = model_key({}, example_model());
  const std::vector<std::string> seeds = {
      ping.SerializeAsString(), find_message(key.to_bytes()).SerializeAsString(),
      store_message(peer, example_record(1), key).SerializeAsString()};
  for (int i = 0; i < 3000; ++i) {
    std::string bytes;
    if (random.below(4) == 0) {
      bytes.resize(random.below(kMaxRequestBytes));
      for (char& c : bytes) c = static_cast<char>(random.next());
    } else {
      bytes = seeds[random.below(seeds.size())];
      for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
        bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
      }
      if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
    }
    EXPECT_LE(say(bytes).size(), 3u);  // the answer, and checks of the victim's own
  }
  EXPECT_GT(victim.stats().datagrams_dropped, 300u);
  EXPECT_LE(victim.stats().records, 1u);
  EXPECT_LE(victim.stats().contacts, 1u);
  EXPECT_TRUE(ask(ping).has_pong());
}

// Answers nobody asked for, and contacts that do not exist, change no table.
TEST_F(KademliaTest, UnaskedAnswersAreIgnored) {
  wire::DhtMessage found;
  found.set_request_id(123);
  for (int i = 0; i < 15; ++i) {
    wire::Contact& contact = *found.mutable_found()->add_closer();
    contact.set_public_key(std::string(32, static_cast<char>(i + 1)));
    contact.set_address(std::string("\x0a\0\0\x09\0\x09", 6));
  }
  EXPECT_TRUE(say(found.SerializeAsString()).empty());
  EXPECT_EQ(victim.stats().contacts, 0u);
}

TEST_F(KademliaTest, TooManyOperationsEndAtOnceAndTheOthersInTime) {
  wire::DhtMessage ping;
  ping.set_request_id(5);
  ping.mutable_ping();
  ask(ping);
  constexpr std::size_t kFinds = 5000;
  for (std::size_t i = 0; i < kFinds; ++i) victim.find(Key{}, kNow);
  EXPECT_LE(victim.stats().in_flight, KademliaConfig{}.max_operations + 1);
  std::size_t ended = 0;
  while (victim.poll_event()) ++ended;
  EXPECT_GT(ended, 800u);
  while (const auto when = victim.next_timeout()) {
    if (victim.stats().operations == 0 || *when > kNow + minutes(10)) break;
    victim.handle_timeout(*when);  // nobody answers any more
    while (victim.poll_event()) ++ended;
    while (victim.poll_transmit()) {
    }
  }
  EXPECT_EQ(ended, kFinds);
}

TEST_F(KademliaTest, OperationsWithoutPeersEndAtOnce) {
  const OperationId find = victim.find(Key{}, kNow);
  const OperationId publish =
      victim.publish(sign_record(identity, example_record(1)), {models_key({})}, kNow);
  const OperationId join = victim.bootstrap({}, seconds(5), kNow);
  victim.handle_timeout(kNow);
  std::map<OperationId, Event> events;
  while (auto event = victim.poll_event()) events[event->id] = *event;
  EXPECT_EQ(events.size(), 3u);
  EXPECT_TRUE(events.at(find).records.empty());
  EXPECT_EQ(events.at(publish).replicas, 0);
  EXPECT_FALSE(events.at(join).ok);
  EXPECT_EQ(victim.stats().operations, 0u);
  const OperationId own = victim.find(models_key({}), kNow);
  auto event = victim.poll_event();
  ASSERT_TRUE(event && event->id == own);
  EXPECT_EQ(event->records.size(), 1u);  // our own
}

}  // namespace
}  // namespace shoal::dht
