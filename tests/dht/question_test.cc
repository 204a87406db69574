// SPDX-License-Identifier: Apache-2.0
// Questions and replies: one round trip without a session, every way it can go wrong, and what a
// reply is good for afterwards.
#include <gtest/gtest.h>

#include "tests/dht/session_ends.h"

namespace shoal::dht {
namespace {

// Delivers the datagrams of `from` to `to`; what came of them.
std::vector<Sessions::Delivery> hand_over(const std::vector<Datagram>& datagrams, const End& from,
                                          End& to, TimePoint now = kNow) {
  std::vector<Sessions::Delivery> result;
  for (const Datagram& datagram : datagrams) {
    if (auto got = to.sessions.receive(datagram.bytes, from.endpoint, now))
      result.push_back(*std::move(got));
  }
  return result;
}

// One question from a to b and its reply.
void exchange(End& a, End& b, TimePoint now = kNow) {
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, now));
  const auto asked = hand_over(a.out(), a, b, now);
  ASSERT_EQ(asked.size(), 1u);
  b.sessions.respond(asked[0], "reply", now);
  const auto replied = hand_over(b.out(), b, a, now);
  ASSERT_EQ(replied.size(), 1u);
  EXPECT_EQ(replied[0].message, "reply");
}

// Bytes `at` of the packet inside the datagram: in a public swarm everybody can look.
std::string packet_of(const Datagram& datagram, const std::optional<identity::SwarmKey>& key = {}) {
  std::array<char, 1200> buffer;
  return std::string(*Seal(key).open(datagram.bytes, buffer));
}

std::string ephemeral_of(const Datagram& datagram) { return packet_of(datagram).substr(25, 32); }
std::string cookie_of(const Datagram& datagram) { return packet_of(datagram).substr(57, 24); }

TEST(QuestionTest, IsAnsweredInOneRoundTripAndLeavesNoSession) {
  End a(1, kA), b(2, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, kNow));
  const auto sent = a.out();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, kB);
  const auto asked = hand_over(sent, a, b);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].message, "question");
  EXPECT_EQ(asked[0].via, Via::kQuestion);
  EXPECT_EQ(asked[0].from.endpoint, kA);
  EXPECT_EQ(asked[0].from.peer, proto::PeerId{});  // nobody says who asks
  b.sessions.respond(asked[0], "reply", kNow);
  const auto replied = hand_over(b.out(), b, a);
  ASSERT_EQ(replied.size(), 1u);
  EXPECT_EQ(replied[0].message, "reply");
  EXPECT_EQ(replied[0].via, Via::kReply);
  EXPECT_EQ(replied[0].from, b.contact());
  EXPECT_EQ(replied[0].from.key, b.identity.public_key());
  EXPECT_EQ(a.sessions.session_count() + b.sessions.session_count(), 0u);
  EXPECT_EQ(a.sessions.open_questions(), 0u);
  EXPECT_EQ(a.sessions.dropped() + b.sessions.dropped(), 0u);
}

TEST(QuestionTest, NeedsTheKeyOfThePeer) {
  End a(1, kA), b(2, kB);
  Contact unknown = b.contact();
  unknown.key = {};
  EXPECT_FALSE(a.sessions.ask(unknown, "q", 100, kNow));
  Contact small_order = b.contact();
  small_order.key.bytes[0] = 1;  // the neutral element: everybody would share its secret
  for (std::size_t i = 1; i < 32; ++i) small_order.key.bytes[i] = 0;
  EXPECT_FALSE(a.sessions.ask(small_order, "q", 100, kNow));
  EXPECT_TRUE(a.out().empty());
}

// An unproven address may be somebody else's.
TEST(QuestionTest, TheAnswerIsAtMostThreeTimesAsLongUntilTheAddressIsProven) {
  End a(1, kA), b(2, kB);
  for (const std::size_t answer_bytes : {std::size_t{0}, std::size_t{500}, kMaxReplyBytes}) {
    End fresh(static_cast<std::uint8_t>(10 + answer_bytes / 10), kA);
    ASSERT_TRUE(fresh.sessions.ask(b.contact(), "find", answer_bytes, kNow));
    const auto sent = fresh.out();
    const auto asked = hand_over(sent, fresh, b);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].message, "find");  // without its padding
    EXPECT_GE(asked[0].room, answer_bytes);
    b.sessions.respond(asked[0], std::string(asked[0].room, 'x'), kNow);
    const auto reply = b.out();
    EXPECT_LE(reply[0].bytes.size(), 3 * sent[0].bytes.size());
    EXPECT_LE(reply[0].bytes.size(), 1200u);
    EXPECT_EQ(hand_over(reply, b, fresh).size(), 1u);
  }
  exchange(a, b);  // the reply proves to b that a is where it says, when it is shown again
  ASSERT_TRUE(a.sessions.ask(b.contact(), "find", kMaxReplyBytes, kNow));
  const auto sent = a.out();
  EXPECT_LT(sent[0].bytes.size(), 200u);  // no padding
  EXPECT_EQ(hand_over(sent, a, b)[0].room, kMaxReplyBytes);
}

TEST(QuestionTest, AStoreAfterItTakesOneRoundTrip) {
  End a(1, kA), b(2, kB);
  EXPECT_FALSE(a.sessions.is_direct(b.contact(), kNow));
  exchange(a, b);
  EXPECT_TRUE(a.sessions.is_direct(b.contact(), kNow));
  a.sessions.send(b.contact(), "store", kNow);
  const auto sent = a.out();
  ASSERT_EQ(sent.size(), 1u);  // the handshake, with the message in it
  const auto got = hand_over(sent, a, b);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].message, "store");
  EXPECT_TRUE(got[0].new_session);
  EXPECT_EQ(got[0].from, a.contact());
  b.sessions.respond(got[0], "stored", kNow);
  EXPECT_EQ(hand_over(b.out(), b, a)[0].message, "stored");
  a.sessions.send(b.contact(), "next", kNow);
  EXPECT_EQ(carry(a, b), std::vector<std::string>{"next"});
  // Nothing of it can be used again.
  EXPECT_TRUE(hand_over(sent, a, b).empty());
  EXPECT_EQ(b.sessions.drops()[Drop::kCookie], 1u);
}

TEST(QuestionTest, AProofIsUsedWhileItIsSurelyValid) {
  const SessionConfig config;
  End a(1, kA), b(2, kB);
  exchange(a, b);
  const TimePoint last = kNow + config.cookie_ttl - config.cookie_slack - milliseconds(1);
  EXPECT_TRUE(a.sessions.is_direct(b.contact(), last));
  EXPECT_FALSE(a.sessions.is_direct(b.contact(), last + milliseconds(1)));
  a.sessions.send(b.contact(), "late", last + milliseconds(1));
  const auto sent = a.out();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(packet_of(sent[0])[0], 1);  // a hello
  // In time, but the peer has a new secret since.
  End c(3, kC), reborn(2, kB);
  exchange(c, b);
  reborn.random = identity::Random(99);
  Sessions other(reborn.identity, {}, config, false, reborn.random);
  ASSERT_TRUE(c.sessions.ask(b.contact(), "q", kMaxReplyBytes, kNow));
  const auto got = other.receive(c.out()[0].bytes, kC, kNow);
  ASSERT_TRUE(got);  // answered, as one without proof
  EXPECT_LT(got->room, 500u);
}

TEST(QuestionTest, AProofIsForOnePeerAtOneAddress) {
  End a(1, kA), b(2, kB);
  exchange(a, b);
  EXPECT_FALSE(a.sessions.is_direct({identity::identity_of(9).peer_id(), kB}, kNow));
  EXPECT_FALSE(a.sessions.is_direct({b.identity.peer_id(), kC}, kNow));
  // A thief of the cookie, at another address.
  ASSERT_TRUE(a.sessions.ask(b.contact(), "q", kMaxReplyBytes, kNow));
  const auto got = b.sessions.receive(a.out()[0].bytes, kC, kNow);
  ASSERT_TRUE(got);
  EXPECT_LT(got->room, 500u);
}

TEST(QuestionTest, ReplaysBringNothingWhileRemembered) {
  const identity::SwarmKey key = identity::generate_swarm_key();
  for (const std::optional<identity::SwarmKey>& swarm :
       {std::optional<identity::SwarmKey>(), std::optional(key)}) {
    End a(1, kA, swarm), b(2, kB, swarm);
    ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, kNow));
    const auto question = a.out();
    const auto asked = hand_over(question, a, b);
    ASSERT_EQ(asked.size(), 1u);
    b.sessions.respond(asked[0], "reply", kNow);
    const auto reply = b.out();
    EXPECT_EQ(hand_over(reply, b, a).size(), 1u);
    for (const proto::Endpoint& from : {kA, kB, kC}) {
      EXPECT_FALSE(b.sessions.receive(question[0].bytes, from, kNow));
      EXPECT_FALSE(a.sessions.receive(reply[0].bytes, from, kNow));
    }
    EXPECT_TRUE(a.out().empty() && b.out().empty());
    EXPECT_EQ(b.sessions.drops()[Drop::kReplay], 3u);
    EXPECT_EQ(a.sessions.drops()[Drop::kUnasked], 3u);
  }
}

TEST(QuestionTest, LostOnesAreRepairedByAskingAgain) {
  End a(1, kA), b(2, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, kNow));
  const auto first = a.out();  // its reply is late
  const TimePoint later = kNow + milliseconds(300);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, later));
  const auto asked = hand_over(a.out(), a, b, later);
  ASSERT_EQ(asked.size(), 1u);
  b.sessions.respond(asked[0], "reply", later);
  EXPECT_EQ(hand_over(b.out(), b, a, later).size(), 1u);
  const auto late = hand_over(first, a, b, later);
  ASSERT_EQ(late.size(), 1u);
  b.sessions.respond(late[0], "late reply", later);
  const auto reply = b.out();
  EXPECT_EQ(hand_over(reply, b, a, kNow + seconds(4)).size(), 1u);
}

TEST(QuestionTest, RepliesAreTakenForAsLongAsAnyRequestLives) {
  End a(1, kA), b(2, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, kNow));
  const auto asked = hand_over(a.out(), a, b);
  b.sessions.respond(asked[0], "reply", kNow);
  EXPECT_TRUE(hand_over(b.out(), b, a, kNow + seconds(6)).empty());
}

TEST(QuestionTest, ForgedRepliesAreRefusedAndTheTrueOneStillCounts) {
  End a(1, kA), b(2, kB), mallory(3, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, kNow));
  const auto question = a.out();
  const auto asked = hand_over(question, a, b);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(hand_over(question, a, mallory).empty());  // who has not b's key cannot read it
  // It knows the echo, and answers with a key of its own.
  Sessions::Delivery guess = asked[0];
  guess.reply_key[0] ^= 1;
  mallory.sessions.respond(guess, "lie", kNow);
  EXPECT_TRUE(hand_over(mallory.out(), mallory, a).empty());
  EXPECT_EQ(a.sessions.drops()[Drop::kCiphertext], 1u);
  b.sessions.respond(asked[0], "truth", kNow);
  const auto reply = b.out();
  EXPECT_FALSE(a.sessions.receive(reply[0].bytes, kC, kNow));  // not from where we asked
  EXPECT_EQ(hand_over(reply, b, a)[0].message, "truth");
}

TEST(QuestionTest, IsReadByTheOneItIsMeantFor) {
  End a(1, kA), b(2, kB), c(3, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, kNow));
  EXPECT_TRUE(hand_over(a.out(), a, c).empty());
  EXPECT_EQ(c.sessions.drops()[Drop::kOtherPeer], 1u);
  Contact wrong_key = c.contact();  // its mark, another's key
  wrong_key.key = b.identity.public_key();
  ASSERT_TRUE(a.sessions.ask(wrong_key, "question", 100, kNow));
  EXPECT_TRUE(hand_over(a.out(), a, c).empty());
  EXPECT_EQ(c.sessions.drops()[Drop::kCiphertext], 1u);
  EXPECT_TRUE(c.out().empty());
}

TEST(QuestionTest, OtherSwarmsAndClientsStaySilent) {
  End a(1, kA);
  End keyed(2, kB, identity::generate_swarm_key()), client(3, kB, {}, {}, true);
  for (End* other : {&keyed, &client}) {
    ASSERT_TRUE(a.sessions.ask(other->contact(), "question", 100, kNow));
    EXPECT_TRUE(hand_over(a.out(), a, *other).empty());
    EXPECT_TRUE(other->out().empty());
  }
  EXPECT_EQ(keyed.sessions.drops()[Drop::kSeal], 1u);
  EXPECT_EQ(client.sessions.drops()[Drop::kClientMode], 1u);
  ASSERT_TRUE(client.sessions.ask(a.contact(), "question", 100, kNow));  // but clients ask
  EXPECT_EQ(hand_over(client.out(), client, a).size(), 1u);
}

TEST(QuestionTest, AChallengedQuestionIsAskedOnceMoreWithTheProof) {
  End a(1, kA), b(2, kB);
  const auto challenge = [&](const Datagram& question, const identity::PublicKey& key) {
    ChallengePacket packet{};
    const std::string bytes = packet_of(question);
    std::copy_n(bytes.begin() + 1, 16, packet.echo.begin());
    packet.cookie[0] = 1;
    packet.key = key;
    std::string datagram = begin_datagram(100);
    append(datagram, packet);
    identity::Random random(7);
    Seal({}).close(datagram, random);
    return datagram;
  };
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", kMaxReplyBytes, kNow));
  const auto first = a.out();
  a.sessions.receive(challenge(first[0], identity::identity_of(9).public_key()), kB, kNow);
  a.sessions.receive(challenge(first[0], b.identity.public_key()), kC, kNow);
  EXPECT_TRUE(a.out().empty());  // not of the peer that was asked
  a.sessions.receive(challenge(first[0], b.identity.public_key()), kB, kNow);
  const auto second = a.out();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(cookie_of(second[0])[0], 1);
  EXPECT_EQ(hand_over(second, a, b)[0].message, "question");
  for (const Datagram& question : {first[0], second[0]})
    a.sessions.receive(challenge(question, b.identity.public_key()), kB, kNow);
  EXPECT_TRUE(a.out().empty());  // no endless dialogue
}

TEST(QuestionTest, OneExchangeKeyServesAMinute) {
  End a(1, kA), b(2, kB), c(3, kC);
  std::vector<std::string> keys;
  for (const int at : {0, 59, 60, 119, 121}) {
    ASSERT_TRUE(a.sessions.ask(b.contact(), "q", 0, kNow + seconds(at)));
    ASSERT_TRUE(a.sessions.ask(c.contact(), "q", 0, kNow + seconds(at)));
    const auto sent = a.out();
    EXPECT_EQ(ephemeral_of(sent[0]), ephemeral_of(sent[1]));
    keys.push_back(ephemeral_of(sent[0]));
  }
  EXPECT_EQ(keys[0], keys[1]);
  EXPECT_NE(keys[1], keys[2]);
  EXPECT_EQ(keys[2], keys[3]);
  EXPECT_NE(keys[3], keys[4]);
  // A reply under way while the key changes is still read.
  ASSERT_TRUE(a.sessions.ask(b.contact(), "before", 0, kNow + seconds(180)));
  const auto asked = hand_over(a.out(), a, b, kNow + seconds(180));
  ASSERT_EQ(asked.size(), 1u);
  ASSERT_TRUE(a.sessions.ask(c.contact(), "after", 0, kNow + seconds(182)));
  b.sessions.respond(asked[0], "reply", kNow + seconds(182));
  EXPECT_EQ(hand_over(b.out(), b, a, kNow + seconds(182)).size(), 1u);
}

TEST(QuestionTest, NoTwoTextsShareANonce) {
  End a(1, kA), b(2, kB);
  ASSERT_TRUE(a.sessions.ask(b.contact(), "question", 100, kNow));
  const auto asked = hand_over(a.out(), a, b);
  std::set<identity::AeadNonce> nonces;
  for (int i = 0; i < 100; ++i) {  // as if the question came again and again
    b.sessions.respond(asked[0], "reply " + std::to_string(i), kNow);
    const std::string bytes = packet_of(b.out()[0]);
    const auto packet = parse_packet(bytes);
    const auto& reply = std::get<ReplyPacket>(*packet);
    nonces.insert(reply_nonce(reply.echo, reply.cookie));
  }
  EXPECT_EQ(nonces.size(), 100u);
}

TEST(QuestionTest, CachesAreBounded) {
  SessionConfig config;
  config.max_asker_keys = 8;
  config.max_answerer_keys = 8;
  config.max_proofs = 8;
  config.max_questions = 10;
  End a(1, kA, {}, config), b(2, kB, {}, config);
  for (std::uint8_t i = 10; i < 60; ++i) {
    End other(i, proto::Endpoint::v4({10, 0, 1, i}, 5));
    exchange(a, other);
    exchange(other, b);
    EXPECT_LE(a.sessions.asker().key_count(), 8u);
    EXPECT_LE(a.sessions.proof_count(), 8u);
    EXPECT_LE(b.sessions.answerer().key_count(), 8u);
  }
  exchange(a, b);  // and it still works
  int asked = 0;
  for (int i = 0; i < 20; ++i) asked += a.sessions.ask(b.contact(), "q", 100, kNow);
  EXPECT_EQ(asked, 10);
  EXPECT_EQ(a.sessions.open_questions(), 10u);
  EXPECT_EQ(a.sessions.drops()[Drop::kSendBounds], 10u);
  EXPECT_TRUE(a.sessions.ask(b.contact(), "q", 100, kNow + seconds(6)));
  EXPECT_EQ(a.sessions.open_questions(), 1u);  // the silent ones were forgotten
}

// What does not open costs its sender as much as us, and takes no memory.
TEST(QuestionTest, GarbageFillsNoCache) {
  End b(2, kB);
  identity::Random random(4);
  for (int i = 0; i < 50; ++i) {
    QuestionPacket packet{};
    packet.echo = random.bytes<16>();
    packet.destination = mark_of(b.identity.peer_id());
    packet.ephemeral = random.bytes<32>();
    std::string datagram = begin_datagram(200);
    append(datagram, packet);
    datagram += std::string(100, 'x');
    Seal({}).close(datagram, random);
    EXPECT_FALSE(b.sessions.receive(datagram, kA, kNow));
  }
  EXPECT_EQ(b.sessions.answerer().key_count(), 0u);
  EXPECT_EQ(b.sessions.drops()[Drop::kCiphertext], 50u);
  EXPECT_TRUE(b.out().empty());
}

}  // namespace
}  // namespace shoal::dht
