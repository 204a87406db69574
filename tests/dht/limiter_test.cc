// SPDX-License-Identifier: Apache-2.0
#include "dht/limiter.h"

#include <gtest/gtest.h>

#include "tests/dht/session_ends.h"

namespace shoal::dht {
namespace {

const auto kPublicA = proto::Endpoint::v4({93, 184, 216, 1}, 1);
const auto kPublicB = proto::Endpoint::v4({151, 101, 1, 2}, 2);
const auto kPublicC = proto::Endpoint::v4({185, 15, 59, 3}, 3);

proto::Endpoint v4(std::uint32_t address) {
  return proto::Endpoint::v4(
      {static_cast<std::uint8_t>(address >> 24), static_cast<std::uint8_t>(address >> 16),
       static_cast<std::uint8_t>(address >> 8), static_cast<std::uint8_t>(address)},
      7000);
}

TEST(RateTest, GivesABurstAndThenItsPace) {
  const Rate rate({10, 5});
  TimePoint bucket{};
  const auto taken = [&](TimePoint now) {
    int count = 0;
    while (rate.take(bucket, 1, 0, now)) ++count;
    return count;
  };
  EXPECT_EQ(taken(kNow), 5);
  EXPECT_EQ(taken(kNow + milliseconds(99)), 0);
  EXPECT_EQ(taken(kNow + milliseconds(100)), 1);
  EXPECT_EQ(taken(kNow + milliseconds(450)), 3);
  EXPECT_EQ(taken(kNow + seconds(60)), 5);  // never more than the burst
  EXPECT_EQ(taken(kNow), 0);                // a clock that stands still gives nothing
  TimePoint other{};
  EXPECT_FALSE(rate.take(other, 3, 3, kNow));  // would not leave the reserve
  EXPECT_TRUE(rate.take(other, 2, 3, kNow));
}

TEST(RateTableTest, CountsEachKeyForItselfAndForgetsTheIdle) {
  RateTable table({10, 2}, 1000);
  for (std::uint64_t key = 0; key < 50; ++key) {
    EXPECT_TRUE(table.take(key, kNow));
    EXPECT_TRUE(table.take(key, kNow));
    EXPECT_FALSE(table.take(key, kNow));
  }
  EXPECT_EQ(table.size(), 50u);
  for (std::uint64_t key = 100; key < 200; ++key) table.take(key, kNow + seconds(1));
  EXPECT_LE(table.size(), 128u);  // the first 50 are full again, and gone
}

TEST(RateTableTest, IsBoundedAndLetsTheKnownPassWhenItIsFull) {
  RateTable table({10, 4}, 100);
  const std::uint64_t known = 7;
  EXPECT_TRUE(table.take(known, kNow));
  int strangers = 0;
  for (std::uint64_t key = 1000; key < 100'000; ++key) {
    strangers += table.take(key, kNow);
    ASSERT_LE(table.size(), 100u);
  }
  EXPECT_EQ(strangers, 99 + 4);  // those who found a place, and who share one
  EXPECT_TRUE(table.take(known, kNow));
}

TEST(LimiterTest, CountsAddressesAndNetworks) {
  identity::Random random(1);
  Limiter limiter({}, random);
  const auto passed = [&](auto&& next, int packets) {
    int count = 0;
    for (int i = 0; i < packets; ++i) count += !limiter.unproven(next(i), kNow);
    return count;
  };
  EXPECT_EQ(passed([](int) { return kPublicA; }, 1000), 200);
  EXPECT_EQ(limiter.unproven(kPublicA, kNow), Drop::kSourceRate);
  auto other_port = kPublicA;
  other_port.port = 9;
  EXPECT_TRUE(limiter.unproven(other_port, kNow));  // ports are for free
  // Its neighbours have what is left to the /24; the rest of the world is not concerned.
  EXPECT_EQ(
      passed([](int i) { return v4(0x5db8d800u + 2 + static_cast<unsigned>(i) % 200); }, 5000),
      600);
  EXPECT_EQ(limiter.unproven(v4(0x5db8d8f0u), kNow), Drop::kNetworkRate);
  EXPECT_EQ(passed([](int) { return kPublicB; }, 1000), 200);
  // IPv6: a /64 is one customer, a /48 one site.
  proto::Endpoint v6;
  v6.address = {0x2a, 0x01, 0x04, 0xf8};
  v6.port = 1;
  EXPECT_EQ(passed(
                [&](int i) {
                  v6.address[15] = static_cast<std::uint8_t>(i);
                  return v6;
                },
                1000),
            200);
  v6.address[7] = 1;
  EXPECT_FALSE(limiter.unproven(v6, kNow));
  EXPECT_EQ(passed(
                [&](int i) {
                  v6.address[7] = static_cast<std::uint8_t>(i);
                  return v6;
                },
                5000),
            600 - 1);
}

TEST(LimiterTest, PrivateAddressesAreExempt) {
  identity::Random random(1);
  Limiter limiter({}, random);
  for (int i = 0; i < 10'000; ++i) {
    for (const auto& local : {kA, proto::Endpoint::v4({127, 0, 0, 1}, 5)}) {
      ASSERT_FALSE(limiter.unproven(local, kNow));
      ASSERT_FALSE(limiter.proven(local, kNow));
      ASSERT_FALSE(limiter.handshake(local, kNow));
      ASSERT_TRUE(limiter.reply(local, 1200, kNow));
      TimePoint bucket{};
      ASSERT_TRUE(limiter.message(local, bucket, kNow));
    }
  }
  EXPECT_EQ(limiter.size(), 0u);
}

TEST(LimiterTest, HalfOfTheBudgetIsKeptForChallenges) {
  const LimiterConfig config;
  identity::Random random(1);
  Limiter limiter(config, random);
  int replies = 0, challenges = 0;
  while (limiter.reply(kPublicA, 1200, kNow)) ++replies;
  while (limiter.challenge(kPublicA, kNow)) ++challenges;
  EXPECT_EQ(replies, (1 << 19) / 1200);
  EXPECT_GE(challenges, (1 << 19) / 113);
  EXPECT_LE(challenges, (1 << 19) / 113 + 12);
  // A second later a second's worth is back: not enough for replies, which wait for half of it.
  EXPECT_FALSE(limiter.reply(kPublicA, 1200, kNow + seconds(1)));
  EXPECT_TRUE(limiter.challenge(kPublicA, kNow + seconds(1)));
  EXPECT_TRUE(limiter.reply(kPublicA, 1200, kNow + seconds(3)));
}

// The same within Sessions: what a flood costs, and that it does not hurt those who are honest.

std::optional<Sessions::Delivery> pass(const Datagram& datagram, const proto::Endpoint& from,
                                       End& to, TimePoint now = kNow) {
  return to.sessions.receive(datagram.bytes, from, now);
}

// b answers, a hears it.
bool replied(const Sessions::Delivery& asked, End& b, End& a, TimePoint now = kNow) {
  b.sessions.respond(asked, "reply", now);
  bool heard = false;
  for (const Datagram& datagram : b.out())
    heard = heard || a.sessions.receive(datagram.bytes, b.endpoint, now).has_value();
  return heard;
}

struct FloodTest : testing::Test {
  FloodTest() : b(2, kPublicB) {}

  // Questions and hellos from `count` forged sources, `pace` apart; the bytes that b sent to them.
  std::size_t flood(int count, Duration pace) {
    End forger(66, kPublicC);
    std::size_t sent = 0;
    for (int i = 0; i < count; ++i) {
      const TimePoint now = kNow + i * pace;
      // A new exchange key for each: otherwise b would know the secret already.
      if (i % 16 == 0)
        forger.sessions.ask(b.contact(), "find", kMaxReplyBytes, now + i * seconds(61));
      if (i % 16 != 0) {
        HelloPacket hello{forger.random.bytes<16>(), {}};
        Datagram datagram{kPublicB, begin_datagram(49)};
        append(datagram.bytes, hello);
        Seal({}).close(datagram.bytes, forger.random);
        pass(datagram, source(i), b, now);
      }
      for (const Datagram& datagram : forger.out()) {
        if (const auto got = pass(datagram, source(i), b, now))
          b.sessions.respond(*got, std::string(got->room, 'x'), now);
      }
      for (const Datagram& answer : b.out()) sent += answer.bytes.size();
    }
    return sent;
  }
  static proto::Endpoint source(int i) {
    return v4(0x0b000000u + static_cast<std::uint32_t>(i) * 2654435761u % 0x40000000u);
  }

  End b;
};

TEST_F(FloodTest, ForgedSourcesGetNoMoreThanTheBudgetAndTakeNoMemory) {
  const LimiterConfig limits;
  constexpr int kPackets = 100'000;
  const std::size_t sent = flood(kPackets, std::chrono::microseconds(10));  // one second
  EXPECT_LE(static_cast<double>(sent),
            limits.unproven_bytes.burst + limits.unproven_bytes.per_s * 1.1);
  EXPECT_GT(b.sessions.drops()[Drop::kBudget], 0u);
  EXPECT_EQ(b.sessions.session_count(), 0u);
  EXPECT_EQ(b.sessions.pending_count(), 0u);
  EXPECT_LE(b.sessions.limiter().size(), 4 * limits.max_sources);
  EXPECT_LE(b.sessions.answerer().key_count(), SessionConfig{}.max_answerer_keys);
}

TEST_F(FloodTest, AnHonestAskerIsChallengedAndThenAnswered) {
  End a(1, kPublicA);
  flood(6000, std::chrono::microseconds(10));
  const TimePoint now = kNow + milliseconds(60);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, now));
  EXPECT_FALSE(pass(a.out()[0], kPublicA, b, now));
  const auto challenge = b.out();
  ASSERT_EQ(challenge.size(), 1u);
  EXPECT_EQ(challenge[0].bytes.size(), kChallengeDatagramBytes);
  EXPECT_FALSE(pass(challenge[0], kPublicB, a, now));
  const auto repeated = a.out();
  ASSERT_EQ(repeated.size(), 1u);
  const auto asked = pass(repeated[0], kPublicA, b, now);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->message, "question");
  EXPECT_EQ(asked->room, kMaxReplyBytes);
  EXPECT_TRUE(replied(*asked, b, a, now));
  // It keeps its proof: the next one takes one round trip although the flood goes on.
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, now));
  const auto next = pass(a.out()[0], kPublicA, b, now);
  ASSERT_TRUE(next);
  EXPECT_TRUE(replied(*next, b, a, now));
}

TEST_F(FloodTest, NobodyIsCutOffByPacketsInHisName) {
  End a(1, kPublicA);
  a.sessions.send(b.contact(), "one", kNow);
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"one"});
  End forger(66, kPublicC);
  for (int i = 0; i < 1000; ++i) {  // hellos with a's address
    HelloPacket hello{forger.random.bytes<16>(), {}};
    Datagram datagram{kPublicB, begin_datagram(49)};
    append(datagram.bytes, hello);
    Seal({}).close(datagram.bytes, forger.random);
    pass(datagram, kPublicA, b);
  }
  b.out();
  EXPECT_EQ(b.sessions.drops()[Drop::kSourceRate], 1000u + 1 - 200);  // its own hello counts
  a.sessions.send(b.contact(), "two", kNow);
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"two"});
}

TEST_F(FloodTest, APeerHasItsShareInAllItsSessions) {
  const LimiterConfig limits;
  End a(1, kPublicA);
  std::size_t delivered = 0;
  for (int session = 0; session < 3; ++session) {
    End again(1, kPublicA);  // it forgets, and begins anew
    again.random = identity::Random(static_cast<std::uint64_t>(100 + session));
    Sessions sessions(again.identity, {}, SessionConfig{}, false, again.random);
    sessions.send(b.contact(), "first", kNow);
    for (int round = 0; round < 2; ++round) {
      while (const auto datagram = sessions.poll_transmit())
        delivered += pass(*datagram, kPublicA, b).has_value();
      for (const Datagram& datagram : b.out()) sessions.receive(datagram.bytes, kPublicB, kNow);
    }
    ASSERT_TRUE(sessions.has_session(b.contact()));
    for (int i = 0; i < 1000; ++i) {
      sessions.send(b.contact(), "more", kNow);
      delivered += pass(*sessions.poll_transmit(), kPublicA, b).has_value();
    }
  }
  EXPECT_LE(static_cast<double>(delivered), limits.peer.burst + 3);
  EXPECT_GE(b.sessions.drops()[Drop::kPeerRate], 1900u);
}

TEST_F(FloodTest, HandshakesOfOneNetworkAreLimited) {
  const LimiterConfig limits;
  int done = 0;
  for (std::uint8_t i = 1; i < 60; ++i) {
    End a(i + 100, v4(0x5db8d800u + i));
    a.sessions.send({{}, kPublicB}, "hello", kNow);
    done += static_cast<int>(carry(a, b).size());
  }
  EXPECT_EQ(done, static_cast<int>(limits.handshakes.burst));
  End elsewhere(99, kPublicC);
  elsewhere.sessions.send({{}, kPublicB}, "hello", kNow);
  EXPECT_EQ(carry(elsewhere, b).size(), 1u);
}

}  // namespace
}  // namespace shoal::dht
