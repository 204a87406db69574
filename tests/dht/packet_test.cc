// SPDX-License-Identifier: Apache-2.0
#include "dht/packet.h"

#include <gtest/gtest.h>

#include "dht/cookie.h"
#include "dht/recent.h"
#include "dht/replay_window.h"

namespace shoal::dht {
namespace {

// The packet as it stands in a datagram before it is sealed.
template <typename P>
std::string plain(const P& packet, std::string_view rest = {}) {
  std::string out = begin_datagram(200);
  append(out, packet);
  return out.substr(kSealNonceBytes) + std::string(rest);
}

template <typename P>
P parsed(const std::string& bytes) {
  const auto packet = parse_packet(bytes);
  const P* result = packet ? std::get_if<P>(&*packet) : nullptr;
  EXPECT_NE(result, nullptr);
  return result != nullptr ? *result : P{};
}

TEST(PacketTest, EveryPacketRoundTrips) {
  identity::Random random(1);
  const HelloPacket hello{random.bytes<16>(), {random.bytes<32>()}};
  const std::string hello_bytes = plain(hello);
  EXPECT_EQ(hello_bytes.size(), 49u);
  EXPECT_EQ(parsed<HelloPacket>(hello_bytes).id, hello.id);
  EXPECT_EQ(parsed<HelloPacket>(hello_bytes).destination, hello.destination);

  const ChallengePacket challenge{random.bytes<16>(), random.bytes<24>(), {random.bytes<32>()}};
  const std::string challenge_bytes = plain(challenge);
  EXPECT_EQ(challenge_bytes.size() + kSealBytes, kChallengeDatagramBytes);
  EXPECT_EQ(parsed<ChallengePacket>(challenge_bytes).echo, challenge.echo);
  EXPECT_EQ(parsed<ChallengePacket>(challenge_bytes).cookie, challenge.cookie);
  EXPECT_EQ(parsed<ChallengePacket>(challenge_bytes).key, challenge.key);

  HandshakePacket handshake{};
  handshake.cookie = random.bytes<24>();
  handshake.key.bytes = random.bytes<32>();
  handshake.ephemeral = random.bytes<32>();
  handshake.signature.bytes = random.bytes<64>();
  const std::string handshake_bytes = plain(handshake, std::string(20, 'c'));
  const auto got_handshake = parsed<HandshakePacket>(handshake_bytes);
  EXPECT_EQ(got_handshake.cookie, handshake.cookie);
  EXPECT_EQ(got_handshake.key, handshake.key);
  EXPECT_EQ(got_handshake.ephemeral, handshake.ephemeral);
  EXPECT_EQ(got_handshake.signature, handshake.signature);
  EXPECT_EQ(got_handshake.ciphertext, std::string(20, 'c'));
  EXPECT_EQ(got_handshake.header, handshake_bytes.substr(0, kHandshakeHeaderBytes));

  MessagePacket message{0x0102030405060708, 9, {}, {}, random.bytes<8>()};
  const std::string message_bytes = plain(message, std::string(16, 't'));
  const auto got_message = parsed<MessagePacket>(message_bytes);
  EXPECT_EQ(got_message.session, message.session);
  EXPECT_EQ(got_message.counter, message.counter);
  EXPECT_EQ(got_message.destination, message.destination);
  EXPECT_EQ(got_message.header, message_bytes.substr(0, kMessageHeaderBytes));
  const Echo echo = echo_of(message);
  EXPECT_EQ(std::string(echo.begin(), echo.end()), message_bytes.substr(1, 16));

  QuestionPacket question{};
  question.echo = random.bytes<16>();
  question.destination = random.bytes<8>();
  question.ephemeral = random.bytes<32>();
  question.cookie = random.bytes<24>();
  const std::string question_bytes = plain(question, std::string(30, 'q'));
  const auto got_question = parsed<QuestionPacket>(question_bytes);
  EXPECT_EQ(got_question.echo, question.echo);
  EXPECT_EQ(got_question.destination, question.destination);
  EXPECT_EQ(got_question.ephemeral, question.ephemeral);
  EXPECT_EQ(got_question.cookie, question.cookie);
  EXPECT_EQ(got_question.ciphertext, std::string(30, 'q'));
  EXPECT_EQ(got_question.header, question_bytes.substr(0, kQuestionHeaderBytes));

  ReplyPacket reply{random.bytes<16>(), random.bytes<24>(), {}, {}};
  const std::string reply_bytes = plain(reply, std::string(17, 'r'));
  const auto got_reply = parsed<ReplyPacket>(reply_bytes);
  EXPECT_EQ(got_reply.echo, reply.echo);
  EXPECT_EQ(got_reply.cookie, reply.cookie);
  EXPECT_EQ(got_reply.ciphertext, std::string(17, 'r'));
  EXPECT_EQ(got_reply.header, reply_bytes.substr(0, kReplyHeaderBytes));
}

// A source address may be a lie: nothing that is sent to an unproven one is longer than three times
// what it sent.
TEST(PacketTest, WhateverProvokesAChallengeIsAtLeastAThirdAsLong) {
  for (const std::size_t shortest :
       {std::size_t{49}, kMessageHeaderBytes + kTagBytes, kQuestionHeaderBytes + kTagBytes}) {
    EXPECT_LE(kChallengeDatagramBytes, 3 * (kSealBytes + shortest));
  }
}

TEST(PacketTest, OtherSizesAndTypesAreRefused) {
  for (std::size_t size = 0; size < 400; ++size) {
    for (int type = 0; type < 8; ++type) {
      std::string bytes(size, '\0');
      if (size > 0) bytes[0] = static_cast<char>(type);
      const bool good = (type == 1 && size == 49) || (type == 2 && size == 73) ||
                        (type == 3 && size >= 169) || (type == 4 && size >= 41) ||
                        (type == 5 && size >= 97) || (type == 6 && size >= 57);
      EXPECT_EQ(parse_packet(bytes).has_value(), good) << type << " " << size;
    }
  }
}

std::string closed(const Seal& seal, std::string_view text, identity::Random& random) {
  std::string datagram = begin_datagram(text.size());
  datagram += text;
  seal.close(datagram, random);
  return datagram;
}

std::optional<std::string> opened(const Seal& seal, std::string_view datagram) {
  std::array<char, 1300> buffer;
  const auto plain = seal.open(datagram, buffer);
  return plain ? std::optional<std::string>(*plain) : std::nullopt;
}

TEST(SealTest, OpensOnlyUnderTheSameSwarmKey) {
  identity::Random random(2);
  const identity::SwarmKey key = identity::generate_swarm_key(),
                           other = identity::generate_swarm_key();
  const Seal open_swarm({}), ours(key), theirs(other);
  for (const Seal* seal : {&open_swarm, &ours, &theirs}) {
    const std::string datagram = closed(*seal, "text", random);
    EXPECT_EQ(datagram.size(), 4 + kSealBytes);
    for (const Seal* opener : {&open_swarm, &ours, &theirs}) {
      EXPECT_EQ(opened(*opener, datagram),
                opener == seal ? std::optional<std::string>("text") : std::nullopt);
    }
    for (std::size_t i = 0; i < datagram.size(); ++i) {
      std::string changed = datagram;
      changed[i] ^= 1;
      EXPECT_FALSE(opened(*seal, changed));
      EXPECT_FALSE(opened(*seal, datagram.substr(0, i)));
    }
  }
  EXPECT_FALSE(opened(ours, closed(ours, std::string(1161, 'x'), random)));  // 1201 bytes
  EXPECT_TRUE(opened(ours, closed(ours, std::string(1160, 'x'), random)));
}

TEST(CookieTest, IsGoodForOneHandshakeFromOneAddressWithinItsTime) {
  identity::Random random(3);
  const SessionConfig config;
  CookieJar jar(config, random), stranger(config, random);
  const auto here = proto::Endpoint::v4({10, 0, 0, 1}, 1),
             there = proto::Endpoint::v4({10, 0, 0, 1}, 2);
  const TimePoint now{seconds(5)};
  const Cookie cookie = jar.make(here, now);
  EXPECT_TRUE(jar.valid(cookie, here, now));
  EXPECT_TRUE(jar.valid(cookie, here, now + config.cookie_ttl - seconds(1)));
  EXPECT_FALSE(jar.valid(cookie, here, now + config.cookie_ttl + seconds(2)));
  EXPECT_FALSE(jar.valid(cookie, there, now));
  EXPECT_FALSE(stranger.valid(cookie, here, now));
  for (std::size_t i = 0; i < cookie.size(); ++i) {
    Cookie changed = cookie;
    changed[i] ^= 1;
    EXPECT_FALSE(jar.valid(changed, here, now));
  }
  const Cookie second = jar.make(here, now);
  EXPECT_NE(second, cookie);
  jar.use(cookie);
  EXPECT_FALSE(jar.valid(cookie, here, now));
  EXPECT_TRUE(jar.valid(second, here, now));
}

TEST(RecentSetTest, ForgetsTheOldestBeyondItsCapacity) {
  RecentSet set(3);
  for (const std::uint64_t value : {1, 2, 3}) EXPECT_TRUE(set.insert(value));
  EXPECT_FALSE(set.insert(1));
  EXPECT_TRUE(set.insert(4));  // 1 makes room
  EXPECT_FALSE(set.contains(1));
  for (const std::uint64_t value : {2, 3, 4}) EXPECT_TRUE(set.contains(value));
  for (std::uint64_t value = 5; value < 1000; ++value) set.insert(value);
  EXPECT_EQ(set.size(), 3u);
}

TEST(RecentMapTest, KeepsWhatIsUsedWithinItsAgeAndCapacity) {
  const TimePoint start{seconds(1)};
  RecentMap<std::uint64_t, int, std::hash<std::uint64_t>> map(10, seconds(10));
  map.put(1, 11, start);
  map.put(2, 22, start);
  EXPECT_EQ(*map.find(1, start + seconds(11)), 11);  // in use, so it stays
  EXPECT_EQ(*map.find(1, start + seconds(20)), 11);
  EXPECT_EQ(map.find(2, start + seconds(22)), nullptr);
  EXPECT_NE(map.find(1, start + seconds(22)), nullptr);
  for (std::uint64_t key = 100; key < 200; ++key) {
    map.put(key, 0, start + seconds(22));
    EXPECT_LE(map.size(), 10u);
    EXPECT_NE(map.find(key, start + seconds(22)), nullptr);
  }
  map.erase(199);
  EXPECT_EQ(map.find(199, start + seconds(22)), nullptr);
  map.clear();
  EXPECT_EQ(map.size(), 0u);
}

// Against the plainest possible model: a set of everything seen.
TEST(ReplayWindowTest, AcceptsEachRecentCounterOnce) {
  identity::Random random(4);
  for (int run = 0; run < 50; ++run) {
    ReplayWindow window;
    std::set<std::uint64_t> seen;
    std::uint64_t highest = 0;
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t base = highest > 70 ? highest - 70 : 0;
      const std::uint64_t counter = base + random.below(140);
      const bool too_old = !seen.empty() && counter + ReplayWindow::kWidth <= highest;
      const bool expected = !seen.contains(counter) && !too_old;
      ASSERT_EQ(window.fresh(counter), expected) << counter << " of " << highest;
      if (!expected) continue;
      window.mark(counter);
      seen.insert(counter);
      highest = std::max(highest, counter);
    }
  }
}

}  // namespace
}  // namespace shoal::dht
