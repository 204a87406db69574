// SPDX-License-Identifier: Apache-2.0
#include "dht/session.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/dht/session_ends.h"

namespace shoal::dht {
namespace {

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
  a.sessions.send({identity::identity_of(9).peer_id(), kB}, "secret", kNow);
  EXPECT_TRUE(carry(a, b).empty());
  EXPECT_FALSE(a.sessions.has_session({{}, kB}));
}

TEST(SessionTest, OtherSwarmsStaySilent) {
  for (int i = 0; i < 3; ++i) {
    End a(1, kA, i == 0 ? std::nullopt : std::optional(identity::generate_swarm_key()));
    End b(2, kB, i == 1 ? std::nullopt : std::optional(identity::generate_swarm_key()));
    a.sessions.send({{}, kB}, "hello?", kNow);
    for (const Datagram& datagram : a.out())
      EXPECT_FALSE(b.sessions.receive(datagram.bytes, kA, kNow));
    EXPECT_TRUE(b.out().empty());
  }
  const identity::SwarmKey key = identity::generate_swarm_key();
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
  b.sessions.send(a.contact(), "answer", kNow);
  carry(a, b);
  End reborn(2, kB);
  reborn.random = identity::Random(77);
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
  a.sessions.send(b.contact(), "q", later);
  EXPECT_EQ(carry(a, b, later), std::vector<std::string>{"q"});
}

TEST(SessionTest, ALostHandshakeIsRepairedThoughItsChallengeCameTooLateForTheResends) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), "first", kNow);
  for (const Datagram& datagram : a.out()) b.sessions.receive(datagram.bytes, kA, kNow);
  for (const Datagram& datagram : b.out()) a.sessions.receive(datagram.bytes, kB, kNow);
  EXPECT_EQ(a.out().size(), 1u);  // the handshake is lost
  // From now on a asks now and then, and sends nothing between the challenge and its expiry.
  TimePoint now = kNow + seconds(30);
  a.sessions.send(b.contact(), "second", now);
  EXPECT_TRUE(carry(a, b, now).empty());
  now += seconds(30);
  a.sessions.send(b.contact(), "third", now);
  EXPECT_EQ(carry(a, b, now), std::vector<std::string>{"third"});
}

TEST(SessionTest, AMessageThatOvertakesItsHandshakeCostsNothingElse) {
  End a(1, kA), b(2, kB);
  a.sessions.send(b.contact(), "first", kNow);
  a.sessions.send(b.contact(), "second", kNow);
  for (const Datagram& datagram : a.out()) b.sessions.receive(datagram.bytes, kA, kNow);
  for (const Datagram& datagram : b.out()) a.sessions.receive(datagram.bytes, kB, kNow);
  const std::vector<Datagram> burst = a.out();
  ASSERT_EQ(burst.size(), 2u);  // the handshake with the first, a message with the second
  EXPECT_FALSE(b.sessions.receive(burst[1].bytes, kA, kNow));
  ASSERT_TRUE(b.sessions.receive(burst[0].bytes, kA, kNow));
  b.sessions.send(a.contact(), "answer", kNow);
  // The challenge comes first, then the answer: the session holds, and nothing is begun anew.
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"answer"});
  EXPECT_FALSE(a.sessions.poll_lost());
  a.sessions.send(b.contact(), "second", kNow);
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"second"});
  EXPECT_EQ(a.sessions.session_count(), 1u);
  EXPECT_EQ(b.sessions.session_count(), 1u);
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

TEST(SessionTest, AnswersGoTheWayTheRequestCameThoughAnOlderHandshakeArrivesLater) {
  End a(1, kA, {}, {}, true), b(2, kB);  // a client cannot say that it does not know a session
  a.sessions.send(b.contact(), "one", kNow);
  b.sessions.receive(a.out().at(0).bytes, kA, kNow);
  a.sessions.receive(b.out().at(0).bytes, kB, kNow);
  const Datagram late = a.out().at(0);
  a.sessions.send(b.contact(), "two", kNow);
  b.sessions.receive(a.out().at(0).bytes, kA, kNow);
  a.sessions.receive(b.out().at(0).bytes, kB, kNow);  // b does not know the session: begin anew
  a.sessions.send(b.contact(), "two", kNow);
  ASSERT_TRUE(b.sessions.receive(a.out().at(0).bytes, kA, kNow));
  ASSERT_TRUE(b.sessions.receive(late.bytes, kA, kNow));

  a.sessions.send(b.contact(), "three", kNow);
  const auto asked = b.sessions.receive(a.out().at(0).bytes, kA, kNow);
  ASSERT_TRUE(asked);
  b.sessions.respond(*asked, "answer", kNow);
  const auto answer = a.sessions.receive(b.out().at(0).bytes, kB, kNow);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->message, "answer");
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
  identity::Random random(5);
  const Seal seal({});
  for (int run = 0; run < 300; ++run) {
    End a(1, kA), b(2, kB);
    std::vector<std::string> captured;
    const auto attack = [&](End& victim, const proto::Endpoint& from) {
      for (int i = 0; i < 4; ++i) {
        std::string plain(random.below(1100) + 1, '\0');
        if (captured.empty() || random.below(2) == 0) {
          for (char& c : plain) c = static_cast<char>(random.next());
          plain[0] = static_cast<char>(1 + random.below(6));
          if (random.below(2) == 0)
            plain.resize(std::min<std::size_t>(plain.size(), plain[0] == 1 ? 49 : 73));
        } else {
          std::array<char, 1200> buffer;
          plain = *seal.open(captured[random.below(captured.size())], buffer);
          plain[random.below(plain.size())] ^= static_cast<char>(1 + random.below(255));
          if (random.below(3) == 0) plain.resize(1 + random.below(plain.size()));
        }
        std::string datagram = begin_datagram(plain.size());
        datagram += plain;
        seal.close(datagram, random);  // a public swarm: anybody can seal
        EXPECT_FALSE(victim.sessions.receive(datagram, from, kNow));
        std::size_t answered = 0;
        for (const Datagram& answer : victim.out()) {
          EXPECT_EQ(answer.to, from);
          answered += answer.bytes.size();
        }
        EXPECT_LE(answered, 3 * datagram.size());
      }
    };
    std::set<std::string> delivered;
    a.sessions.send({{}, kB}, "in a session", kNow);
    EXPECT_TRUE(a.sessions.ask(b.contact(), "as a question", 100, kNow));
    for (int round = 0; round < 3; ++round) {
      std::vector<Datagram> from_a = a.out(), from_b = b.out();
      for (const auto* list : {&from_a, &from_b}) {
        for (const Datagram& datagram : *list) captured.push_back(datagram.bytes);
      }
      attack(b, random.below(2) == 0 ? kA : kC);
      attack(a, kC);  // who sits on the path could forge the challenge, or drop it all
      for (const Datagram& datagram : from_a) {
        if (const auto got = b.sessions.receive(datagram.bytes, kA, kNow)) {
          delivered.insert(got->message);
          if (got->via == Via::kQuestion) b.sessions.respond(*got, "reply", kNow);
        }
      }
      for (const Datagram& datagram : from_b) {
        if (const auto got = a.sessions.receive(datagram.bytes, kB, kNow))
          delivered.insert(got->message);
      }
    }
    // The honest exchange was not disturbed.
    EXPECT_EQ(delivered, (std::set<std::string>{"in a session", "as a question", "reply"}));
  }
}

}  // namespace
}  // namespace shoal::dht
