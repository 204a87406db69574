// SPDX-License-Identifier: Apache-2.0
// Handshakes: a true one with a message of the fuzzer's choice, then the same with changes. Input:
// which of two proofs it starts from; a message; then pairs of offset and byte that are changed.
#include "tests/fuzz/dht_peer.h"

namespace {

using namespace shoal;
using namespace shoal::dht;

std::string opened(const std::string& datagram) {
  std::array<char, 1200> buffer;
  return std::string(*Seal(std::nullopt).open(datagram, buffer));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  identity::Random victim_random(2), peer_random(1);
  Sessions victim(victim_identity(), std::nullopt, SessionConfig{}, false, victim_random);
  Sessions peer(peer_identity(), std::nullopt, SessionConfig{}, false, peer_random);
  const Contact to_victim = contact_of(victim_identity(), kVictimAt);
  const bool from_reply = input.byte() % 2 == 0;
  const std::string_view message = input.chunk().substr(0, kMaxRequestBytes);
  if (from_reply) {
    CHECK(peer.ask(to_victim, "question", kMaxReplyBytes, kStart));
    const auto got = victim.receive(peer.poll_transmit()->bytes, kPeerAt, kStart);
    CHECK(got.has_value());
    victim.respond(*got, "reply", kStart);
  } else {
    peer.send({{}, kVictimAt}, message, kStart);
    victim.receive(peer.poll_transmit()->bytes, kPeerAt, kStart);
  }
  peer.receive(victim.poll_transmit()->bytes, kVictimAt, kStart);
  if (from_reply) peer.send(to_victim, message, kStart);
  const std::string handshake = opened(peer.poll_transmit()->bytes);

  std::string changed = handshake;
  for (int i = 0; i < 8 && !input.empty(); ++i) {
    const std::size_t at = input.number();
    if (at < changed.size()) changed[at] = static_cast<char>(changed[at] ^ input.byte());
  }
  if (changed != handshake) {
    CHECK(!victim.receive(sealed(changed), kPeerAt, kStart)) << "a forged handshake was taken";
    CHECK(victim.session_count() == 0);
  }
  while (victim.poll_transmit()) {
  }
  CHECK(!victim.receive(sealed(handshake), kElsewhere, kStart)) << "from another address";
  const auto delivery = victim.receive(sealed(handshake), kPeerAt, kStart);
  CHECK(delivery && delivery->message == message && delivery->new_session);
  CHECK(delivery->from == contact_of(peer_identity(), kPeerAt));
  CHECK(!victim.receive(sealed(handshake), kPeerAt, kStart)) << "twice";
  victim.respond(*delivery, "answer", kStart);
  const auto answer = peer.receive(victim.poll_transmit()->bytes, kVictimAt, kStart);
  CHECK(answer && answer->message == "answer");
  return 0;
}
