// SPDX-License-Identifier: Apache-2.0
#include "dht/session.h"

#include <gtest/gtest.h>

namespace shoal::dht {
namespace {

const auto kA = proto::Endpoint::v4({10, 0, 0, 1}, 1);
const auto kB = proto::Endpoint::v4({10, 0, 0, 2}, 2);
const auto kC = proto::Endpoint::v4({10, 0, 0, 3}, 3);
const TimePoint kNow{seconds(100)};

Identity numbered(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return Identity::from_seed(seed);
}

// Two ends whose datagrams the test carries by hand.
struct End {
  End(std::uint8_t number, const proto::Endpoint& at, std::optional<SwarmKey> key = {},
      SessionConfig config = {}, bool client = false)
      : identity(numbered(number)),
        endpoint(at),
        random(number),
        sessions(identity, key, config, client, random) {}
  Contact contact() const { return {identity.peer_id(), endpoint}; }
  std::vector<Datagram> out() {
    std::vector<Datagram> result;
    while (auto datagram = sessions.poll_transmit()) result.push_back(*datagram);
    return result;
  }

  Identity identity;
  proto::Endpoint endpoint;
  Random random;
  Sessions sessions;
};

// Carries everything until both are silent; what each end was delivered.
std::vector<std::string> carry(End& a, End& b, TimePoint now = kNow) {
  std::vector<std::string> delivered;
  for (bool busy = true; busy;) {
    busy = false;
    for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      for (const Datagram& datagram : from->out()) {
        busy = true;
        EXPECT_EQ(datagram.to, to->endpoint);
        EXPECT_LE(datagram.bytes.size(), 1200u);
        if (const auto got = to->sessions.receive(datagram.bytes, from->endpoint, now)) {
          EXPECT_EQ(got->from, from->contact());
          delivered.push_back(got->message);
        }
      }
    }
  }
  return delivered;
}

TEST(SessionTest, AnAddressAloneIsEnoughToBegin) {
  End a(1, kA), b(2, kB);
  a.sessions.send({{}, kB}, "first", kNow);
  a.sessions.send({{}, kB}, "second", kNow);
  EXPECT_EQ(carry(a, b), (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(a.sessions.has_session(b.contact()));
  EXPECT_TRUE(b.sessions.has_session(a.contact()));
  b.sessions.send(a.contact(), "answer", kNow);
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"answer"});
  EXPECT_EQ(a.sessions.dropped() + b.sessions.dropped(), 0u);
}

TEST(SessionTest, LargestMessagesFitIntoOneDatagram) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), std::string(kMaxRequestBytes, 'q'), kNow);
  EXPECT_EQ(carry(a, b).size(), 1u);
  b.sessions.send(a.contact(), std::string(kMaxAnswerBytes, 'a'), kNow);
  EXPECT_EQ(carry(a, b).size(), 1u);
}

TEST(SessionTest, AnotherPeerAtTheExpectedAddressGetsNothing) {
  End a(1, kA), b(2, kB);
  a.sessions.send({numbered(9).peer_id(), kB}, "secret", kNow);
  EXPECT_TRUE(carry(a, b).empty());
  EXPECT_FALSE(a.sessions.has_session({{}, kB}));
}

TEST(SessionTest, OtherSwarmsStaySilent) {
  for (int i = 0; i < 3; ++i) {
    End a(1, kA, i == 0 ? std::nullopt : std::optional(generate_swarm_key()));
    End b(2, kB, i == 1 ? std::nullopt : std::optional(generate_swarm_key()));
    a.sessions.send({{}, kB}, "hello?", kNow);
    for (const Datagram& datagram : a.out())
      EXPECT_FALSE(b.sessions.receive(datagram.bytes, kA, kNow));
    EXPECT_TRUE(b.out().empty());
  }
  const SwarmKey key = generate_swarm_key();
  End a(1, kA, key), b(2, kB, key);
  a.sessions.send({{}, kB}, "hello", kNow);
  EXPECT_EQ(carry(a, b).size(), 1u);
}

TEST(SessionTest, NoDatagramIsTakenTwice) {
  End a(1, kA), b(2, kB);
  std::vector<std::pair<std::string, proto::Endpoint>> to_b;
  a.sessions.send({{}, kB}, "one", kNow);
  for (int round = 0; round < 4; ++round) {
    for (const Datagram& datagram : a.out()) {
      to_b.emplace_back(datagram.bytes, kA);
      b.sessions.receive(datagram.bytes, kA, kNow);
    }
    for (const Datagram& datagram : b.out()) a.sessions.receive(datagram.bytes, kB, kNow);
    if (round == 2) a.sessions.send(b.contact(), "two", kNow);
  }
  ASSERT_EQ(to_b.size(), 3u);  // hello, handshake, message
  for (const proto::Endpoint& from : {kA, kC}) {
    for (const auto& [bytes, address] : to_b) {
      EXPECT_FALSE(b.sessions.receive(bytes, from, kNow));
      EXPECT_TRUE(b.out().empty()) << "a replay was answered";
    }
  }
}

TEST(SessionTest, AForgottenSessionIsMadeAnew) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), "one", kNow);
  carry(a, b);
  End reborn(2, kB);
  reborn.random = Random(77);
  a.sessions.send(b.contact(), "lost", kNow);
  EXPECT_TRUE(carry(a, reborn).empty());
  const auto lost = a.sessions.poll_lost();
  ASSERT_TRUE(lost);
  EXPECT_EQ(*lost, b.contact());
  a.sessions.send(*lost, "again", kNow);
  EXPECT_EQ(carry(a, reborn), std::vector<std::string>{"again"});
}

TEST(SessionTest, LostHelloAndHandshakeAreRepairedBySendingAgain) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), "q", kNow);
  a.out();  // the hello is lost
  a.sessions.send(b.contact(), "q", kNow + milliseconds(10));
  EXPECT_TRUE(a.out().empty());  // too soon for another
  const TimePoint later = kNow + milliseconds(300);
  a.sessions.send(b.contact(), "q", later);
  for (const Datagram& datagram : a.out()) b.sessions.receive(datagram.bytes, kA, later);
  for (const Datagram& datagram : b.out()) a.sessions.receive(datagram.bytes, kB, later);
  EXPECT_EQ(a.out().size(), 1u);  // the handshake is lost: b knows of no session, a believes in one
  a.sessions.send(b.contact(), "q", later);
  EXPECT_TRUE(carry(a, b, later).empty());
  ASSERT_TRUE(a.sessions.poll_lost());
  a.sessions.send(b.contact(), "q", later);
  EXPECT_EQ(carry(a, b, later), std::vector<std::string>{"q"});
}

TEST(SessionTest, BothMayBeginAtOnce) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), "from a", kNow);
  b.sessions.send(a.contact(), "from b", kNow);
  EXPECT_EQ(carry(a, b).size(), 2u);
  a.sessions.send(b.contact(), "x", kNow);
  b.sessions.send(a.contact(), "y", kNow);
  EXPECT_EQ(carry(a, b).size(), 2u);
  EXPECT_LE(a.sessions.session_count(), 2u);
}

TEST(SessionTest, TablesAreBounded) {
  SessionConfig config;
  config.max_sessions = 3;
  config.max_pending = 4;
  config.max_queue = 2;
  End a(1, kA, {}, config);
  for (std::uint8_t i = 10; i < 20; ++i) {
    End b(i, proto::Endpoint::v4({10, 0, 1, i}, 5));
    a.sessions.send(b.contact(), "q", kNow);
    EXPECT_EQ(carry(a, b).size(), 1u);
    EXPECT_LE(a.sessions.session_count(), 3u);
  }
  for (std::uint8_t i = 20; i < 40; ++i) {
    for (const char* text : {"1", "2", "3"})
      a.sessions.send({{}, proto::Endpoint::v4({10, 0, 1, i}, 5)}, text, kNow);
    EXPECT_LE(a.sessions.pending_count(), 4u);
  }
  a.sessions.send({{}, kC}, "late", kNow + seconds(6));
  EXPECT_EQ(a.sessions.pending_count(), 1u);  // the silent ones were forgotten
}

TEST(SessionTest, ClientsChallengeNobody) {
  End client(1, kA, {}, {}, true), b(2, kB);
  b.sessions.send({{}, kA}, "q", kNow);
  EXPECT_TRUE(carry(client, b).empty());
  client.sessions.send(b.contact(), "q", kNow);
  EXPECT_EQ(carry(client, b).size(), 1u);
}

// Every state of a session against mutated and random datagrams: nothing is delivered that was not
// sent, nothing breaks, and what is answered is at most three times as long.
TEST(SessionTest, MutatedDatagramsAreHarmlessInEveryState) {
  Random random(5);
  const Seal seal({});
  for (int run = 0; run < 300; ++run) {
    End a(1, kA), b(2, kB);
    std::vector<std::string> captured;
    const auto attack = [&](End& victim, const proto::Endpoint& from) {
      for (int i = 0; i < 4; ++i) {
        std::string plain(random.below(1100) + 1, '\0');
        if (captured.empty() || random.below(2) == 0) {
          for (char& c : plain) c = static_cast<char>(random.next());
          plain[0] = static_cast<char>(1 + random.below(4));
          if (random.below(2) == 0)
            plain.resize(std::min<std::size_t>(plain.size(), plain[0] == 1 ? 49 : 73));
        } else {
          plain = *seal.open(captured[random.below(captured.size())]);
          plain[random.below(plain.size())] ^= static_cast<char>(1 + random.below(255));
          if (random.below(3) == 0) plain.resize(1 + random.below(plain.size()));
        }
        const std::string datagram = seal.close(plain, random);  // a public swarm: anybody can seal
        EXPECT_FALSE(victim.sessions.receive(datagram, from, kNow));
        std::size_t answered = 0;
        for (const Datagram& answer : victim.out()) {
          EXPECT_EQ(answer.to, from);
          answered += answer.bytes.size();
        }
        EXPECT_LE(answered, 3 * datagram.size());
      }
    };
    a.sessions.send({{}, kB}, "question", kNow);
    bool delivered = false;
    for (int round = 0; round < 3; ++round) {
      std::vector<Datagram> from_a = a.out(), from_b = b.out();
      for (const auto* list : {&from_a, &from_b}) {
        for (const Datagram& datagram : *list) captured.push_back(datagram.bytes);
      }
      attack(b, random.below(2) == 0 ? kA : kC);
      for (const Datagram& datagram : from_a) {
        const auto got = b.sessions.receive(datagram.bytes, kA, kNow);
        delivered = delivered || (got && got->message == "question");
      }
      for (const Datagram& datagram : from_b) a.sessions.receive(datagram.bytes, kB, kNow);
    }
    EXPECT_TRUE(delivered);  // the honest exchange was not disturbed
  }
}

}  // namespace
}  // namespace shoal::dht
