// SPDX-License-Identifier: Apache-2.0
// Datagrams against the session layer in each of its states. Input: the state; then chunks, each
// with a byte of flags: how it becomes a datagram, from where it comes, and which fields of it are
// overwritten with what only someone on the path could know.
#include <algorithm>

#include "tests/fuzz/dht_peer.h"
#include "tests/sim/model_primitives.h"

namespace {

using namespace shoal;
using namespace shoal::dht;

// Ten times as many inputs; libsodium is not what is sought for faults.
const bool kModel = (sim::choose_crypto(sim::Crypto::kModel), true);

enum State : std::uint8_t { kFresh, kPending, kEstablished, kAsked, kProven, kClient, kStates };
enum Flag : std::uint8_t { kRaw = 1, kFromElsewhere = 2, kKnowsTheEcho = 4, kKnowsTheKey = 8 };

struct Peers {
  explicit Peers(State state)
      : victim_random(2),
        peer_random(1),
        victim(victim_identity(), std::nullopt, SessionConfig{}, state == kClient, victim_random),
        peer(peer_identity(), std::nullopt, SessionConfig{}, false, peer_random) {
    const Contact to_peer = contact_of(peer_identity(), kPeerAt);
    switch (state) {
      case kPending:
        victim.send({{}, kPeerAt}, "request", kStart);
        remember(1);
        break;
      case kEstablished:
        victim.send(to_peer, "request", kStart);
        carry();
        CHECK(victim.has_session(to_peer));
        victim.send(to_peer, "next", kStart);
        remember(1);
        break;
      case kAsked:
        CHECK(victim.ask(to_peer, "question", kMaxReplyBytes, kStart));
        remember(1);
        break;
      case kProven:
        CHECK(victim.ask(to_peer, "question", kMaxReplyBytes, kStart));
        carry();
        CHECK(victim.is_direct(to_peer, kStart) && !victim.has_session(to_peer));
        break;
      default:
        break;
    }
    while (victim.poll_transmit()) {
    }
  }

  // Until both are silent; the peer answers questions.
  void carry() {
    for (bool busy = true; busy;) {
      busy = false;
      while (const auto datagram = victim.poll_transmit()) {
        busy = true;
        const auto got = peer.receive(datagram->bytes, kVictimAt, kStart);
        if (got && got->via == Sessions::Via::kQuestion) peer.respond(*got, "reply", kStart);
      }
      while (const auto datagram = peer.poll_transmit()) {
        busy = true;
        victim.receive(datagram->bytes, kPeerAt, kStart);
      }
    }
  }
  // What an eavesdropper learns from the victim's last packet: 16 bytes that name it.
  void remember(std::size_t at) {
    while (const auto datagram = victim.poll_transmit()) {
      std::array<char, 1200> buffer;
      echo = std::string(Seal(std::nullopt).open(datagram->bytes, buffer)->substr(at, 16));
    }
  }

  identity::Random victim_random, peer_random;
  Sessions victim, peer;
  std::string echo;
};

void overwrite(std::string& packet, std::size_t at, std::string_view with) {
  for (std::size_t i = 0; i < with.size() && at + i < packet.size(); ++i) packet[at + i] = with[i];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Peers peers(static_cast<State>(input.byte() % kStates));
  TimePoint now = kStart;
  for (int i = 0; i < 16 && !input.empty(); ++i) {
    const std::uint8_t flags = input.byte();
    std::string bytes(input.chunk());
    if ((flags & kKnowsTheEcho) != 0) overwrite(bytes, 1, peers.echo);
    if ((flags & kKnowsTheKey) != 0) overwrite(bytes, 41, peer_identity().public_key().to_bytes());
    if ((flags & kRaw) == 0) bytes = sealed(bytes);
    const proto::Endpoint& from = (flags & kFromElsewhere) != 0 ? kElsewhere : kPeerAt;
    const auto delivery = peers.victim.receive(bytes, from, now);
    if (delivery) {
      CHECK(delivery->from.endpoint == from && delivery->message.size() <= 1200);
      CHECK(delivery->via == Sessions::Via::kQuestion ||
            delivery->from.peer == identity::peer_id_of(delivery->from.key));
      // Whose address is not proven gets three times what it sent. (The fuzzer reads the tags of
      // the model out of comparisons, and so gets to handshakes and messages, too.)
      CHECK(delivery->via != Sessions::Via::kQuestion ||
            bytes.size() * 3 >= kEmptyReplyBytes + delivery->room ||
            delivery->room == kMaxReplyBytes)
          << static_cast<int>(delivery->via);
      peers.victim.respond(*delivery, std::string(delivery->room, 'a'), now);
    }
    while (const auto datagram = peers.victim.poll_transmit()) {
      CHECK(datagram->bytes.size() <= 1200);
      CHECK(datagram->to == from || datagram->to == kPeerAt);
    }
    while (peers.victim.poll_lost()) {
    }
    CHECK(peers.victim.session_count() <= 2 && peers.victim.pending_count() <= 2);
    now += milliseconds(flags);
  }
  return 0;
}
