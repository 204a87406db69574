// SPDX-License-Identifier: Apache-2.0
// Questions and replies whose encryption is right and whose content is the fuzzer's: the text with
// its length and padding, the cookie, and changes of the packet. Input: flags; what a question
// holds; what its reply holds; then pairs of offset and byte that are changed in the reply.
#include <algorithm>

#include "dht/questions.h"
#include "tests/fuzz/dht_peer.h"

namespace {

using namespace shoal;
using namespace shoal::dht;

identity::Bytes32 swarm_secret() {
  static const identity::Bytes32 secret = Seal(std::nullopt).derive("shoal-dht-session-secret-v1");
  return secret;
}

// As Asker::ask(), but with any text.
std::string question(std::string_view text, std::uint8_t flags) {
  static const identity::Bytes32 secret = identity::Random(7).bytes<32>();
  QuestionPacket packet{};
  packet.echo[0] = flags;
  packet.destination = mark_of(victim_identity().peer_id());
  identity::primitives().exchange_pair(secret, packet.ephemeral);
  if ((flags & 1) != 0) packet.cookie.fill(flags);
  const auto keys =
      asker_keys(swarm_secret(), secret, packet.ephemeral, victim_identity().public_key());
  std::string out = begin_datagram(kQuestionHeaderBytes + text.size() + kTagBytes);
  append(out, packet);
  const std::size_t plain_at = out.size();
  out += text;
  encrypt_tail(out, plain_at, keys->to_answerer, question_nonce(packet.echo));
  return out.substr(kSealNonceBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t flags = input.byte();
  identity::Random victim_random(2), peer_random(1);
  Sessions victim(victim_identity(), std::nullopt, SessionConfig{}, false, victim_random);

  const std::string_view text = input.chunk().substr(0, 1000);
  const std::string datagram = sealed(question(text, flags));
  const auto delivery = victim.receive(datagram, kPeerAt, kStart);
  if (delivery) {
    CHECK(delivery->via == Sessions::Via::kQuestion);
    const auto high = static_cast<std::uint8_t>(text[0]), low = static_cast<std::uint8_t>(text[1]);
    CHECK(delivery->message == text.substr(2, static_cast<std::size_t>(high << 8 | low)));
    CHECK(kEmptyReplyBytes + delivery->room <= std::min<std::size_t>(1200, 3 * datagram.size()));
    victim.respond(*delivery, std::string(delivery->room, 'r'), kStart);
    CHECK(victim.poll_transmit()->bytes.size() <= 3 * datagram.size());
  }
  CHECK(!victim.receive(datagram, kPeerAt, kStart)) << "a replay was answered";

  // A true question of ours, and a reply that says anything.
  Sessions peer(peer_identity(), std::nullopt, SessionConfig{}, false, peer_random);
  const Contact to_victim = contact_of(victim_identity(), kVictimAt);
  CHECK(peer.ask(to_victim, "question", kMaxReplyBytes, kStart));
  const auto asked = victim.receive(peer.poll_transmit()->bytes, kPeerAt, kStart);
  CHECK(asked && asked->message == "question" && asked->room == kMaxReplyBytes);
  const std::string answer(input.chunk().substr(0, kMaxReplyBytes));
  victim.respond(*asked, answer, kStart);
  const std::string reply = victim.poll_transmit()->bytes;
  std::array<char, 1200> buffer;
  const std::string plain(*Seal(std::nullopt).open(reply, buffer));
  std::string changed = plain;
  for (int i = 0; i < 8 && !input.empty(); ++i) {
    const std::size_t at = input.number();
    if (at < changed.size()) changed[at] = static_cast<char>(changed[at] ^ input.byte());
  }
  if (changed != plain) CHECK(!peer.receive(sealed(changed), kVictimAt, kStart)) << "forged";
  CHECK(!peer.receive(reply, kElsewhere, kStart));
  const auto heard = peer.receive(reply, kVictimAt, kStart);
  CHECK(heard && heard->message == answer && heard->from == to_victim);
  CHECK(!peer.receive(reply, kVictimAt, kStart)) << "twice";
  return 0;
}
