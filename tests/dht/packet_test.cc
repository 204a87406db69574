// SPDX-License-Identifier: Apache-2.0
#include "dht/packet.h"

#include <gtest/gtest.h>

#include "dht/cookie.h"
#include "dht/replay_window.h"

namespace shoal::dht {
namespace {

TEST(PacketTest, EveryPacketRoundTrips) {
  Random random(1);
  HelloPacket hello{random.bytes<16>(), {random.bytes<32>()}};
  const std::string hello_bytes = encode(hello);
  EXPECT_EQ(hello_bytes.size(), 49u);
  const auto parsed_hello = parse_packet(hello_bytes);
  ASSERT_TRUE(parsed_hello);
  EXPECT_EQ(std::get<HelloPacket>(*parsed_hello).id, hello.id);
  EXPECT_EQ(std::get<HelloPacket>(*parsed_hello).destination, hello.destination);

  ChallengePacket challenge{random.bytes<16>(), random.bytes<24>(), {random.bytes<32>()}};
  const std::string challenge_bytes = encode(challenge);
  // Whatever provokes a challenge is at least a third as long.
  EXPECT_LE(challenge_bytes.size() + kSealBytes,
            3 * (kMessageHeaderBytes + kTagBytes + kSealBytes));
  EXPECT_LE(challenge_bytes.size() + kSealBytes, 3 * (hello_bytes.size() + kSealBytes));
  const auto parsed_challenge = parse_packet(challenge_bytes);
  ASSERT_TRUE(parsed_challenge);
  EXPECT_EQ(std::get<ChallengePacket>(*parsed_challenge).cookie, challenge.cookie);
  EXPECT_EQ(std::get<ChallengePacket>(*parsed_challenge).key, challenge.key);

  HandshakePacket handshake{};
  handshake.ephemeral = random.bytes<32>();
  handshake.signature.bytes = random.bytes<64>();
  const std::string handshake_bytes = encode_header(handshake) + std::string(20, 'c');
  const auto parsed_handshake = parse_packet(handshake_bytes);
  ASSERT_TRUE(parsed_handshake);
  EXPECT_EQ(std::get<HandshakePacket>(*parsed_handshake).ephemeral, handshake.ephemeral);
  EXPECT_EQ(std::get<HandshakePacket>(*parsed_handshake).signature, handshake.signature);
  EXPECT_EQ(std::get<HandshakePacket>(*parsed_handshake).ciphertext, std::string(20, 'c'));

  MessagePacket message{0x0102030405060708, 9, {}, {}};
  const std::string message_bytes = encode_header(message) + std::string(16, 't');
  const auto parsed_message = parse_packet(message_bytes);
  ASSERT_TRUE(parsed_message);
  EXPECT_EQ(std::get<MessagePacket>(*parsed_message).session, message.session);
  EXPECT_EQ(std::get<MessagePacket>(*parsed_message).counter, message.counter);
  EXPECT_EQ(std::get<MessagePacket>(*parsed_message).header,
            message_bytes.substr(0, kMessageHeaderBytes));
}

TEST(PacketTest, OtherSizesAndTypesAreRefused) {
  for (std::size_t size = 0; size < 400; ++size) {
    for (int type = 0; type < 8; ++type) {
      std::string bytes(size, '\0');
      if (size > 0) bytes[0] = static_cast<char>(type);
      const bool good = (type == 1 && size == 49) || (type == 2 && size == 73) ||
                        (type == 3 && size >= 185) || (type == 4 && size >= 41);
      EXPECT_EQ(parse_packet(bytes).has_value(), good) << type << " " << size;
    }
  }
}

TEST(SealTest, OpensOnlyUnderTheSameSwarmKey) {
  Random random(2);
  const SwarmKey key = generate_swarm_key(), other = generate_swarm_key();
  const Seal open_swarm({}), ours(key), theirs(other);
  for (const Seal* seal : {&open_swarm, &ours, &theirs}) {
    const std::string datagram = seal->close("text", random);
    EXPECT_EQ(datagram.size(), 4 + kSealBytes);
    for (const Seal* opener : {&open_swarm, &ours, &theirs}) {
      EXPECT_EQ(opener->open(datagram),
                opener == seal ? std::optional<std::string>("text") : std::nullopt);
    }
    for (std::size_t i = 0; i < datagram.size(); ++i) {
      std::string changed = datagram;
      changed[i] ^= 1;
      EXPECT_FALSE(seal->open(changed));
      EXPECT_FALSE(seal->open(datagram.substr(0, i)));
    }
  }
  EXPECT_FALSE(ours.open(ours.close(std::string(1161, 'x'), random)));  // 1201 bytes
  EXPECT_TRUE(ours.open(ours.close(std::string(1160, 'x'), random)));
}

TEST(CookieTest, IsGoodForOneHandshakeFromOneAddressWithinItsTime) {
  Random random(3);
  const SessionConfig config;
  CookieJar jar(config, random), stranger(config, random);
  const auto here = proto::Endpoint::v4({10, 0, 0, 1}, 1),
             there = proto::Endpoint::v4({10, 0, 0, 1}, 2);
  const Echo echo = random.bytes<16>(), other_echo = random.bytes<16>();
  const TimePoint now{seconds(5)};
  const Cookie cookie = jar.make(here, echo, now);
  EXPECT_TRUE(jar.valid(cookie, here, echo, now));
  EXPECT_TRUE(jar.valid(cookie, here, echo, now + seconds(9)));
  EXPECT_FALSE(jar.valid(cookie, here, echo, now + seconds(12)));
  EXPECT_FALSE(jar.valid(cookie, there, echo, now));
  EXPECT_FALSE(jar.valid(cookie, here, other_echo, now));
  EXPECT_FALSE(stranger.valid(cookie, here, echo, now));
  for (std::size_t i = 0; i < cookie.size(); ++i) {
    Cookie changed = cookie;
    changed[i] ^= 1;
    EXPECT_FALSE(jar.valid(changed, here, echo, now));
  }
  jar.use(cookie);
  EXPECT_FALSE(jar.valid(cookie, here, echo, now));
}

// Against the plainest possible model: a set of everything seen.
TEST(ReplayWindowTest, AcceptsEachRecentCounterOnce) {
  Random random(4);
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
