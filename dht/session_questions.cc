// SPDX-License-Identifier: Apache-2.0
// Questions and replies in Sessions: who may be answered, how long, and what proves an address.
#include <algorithm>

#include "base/check.h"
#include "dht/session.h"
#include "proto/limits.h"

namespace shoal::dht {

bool Sessions::ask(const Contact& to, std::string_view message, std::size_t answer_bytes,
                   TimePoint now) {
  return ask(to, message, answer_bytes, false, now);
}

bool Sessions::ask(const Contact& to, std::string_view message, std::size_t answer_bytes,
                   bool repeated, TimePoint now) {
  CHECK(message.size() <= kMaxRequestBytes) << message.size();
  if (to.key == identity::PublicKey{}) return false;
  const Proof* known = proof(to, now);
  std::optional<std::string> out =
      asker_.ask(to, message, known != nullptr ? std::optional(known->cookie) : std::nullopt,
                 answer_bytes, repeated, now);
  if (!out) {
    drop(Drop::kSendBounds);
    return false;
  }
  transmit(to.endpoint, *std::move(out));
  return true;
}

void Sessions::remember(const proto::Endpoint& at, const identity::PublicKey& key,
                        const Cookie& cookie, TimePoint now) {
  proofs_.put(at, Proof{key, cookie, now}, now);
}

bool Sessions::on_question_challenged(const ChallengePacket& packet, const proto::Endpoint& from,
                                      TimePoint now) {
  const Asker::Open* open = asker_.find(packet.echo, from, now);
  if (open == nullptr || open->repeated || open->to.key != packet.key) return false;
  remember(from, packet.key, packet.cookie, now);
  const Asker::Open question = asker_.take(*open);
  ask(question.to, question.message, 0, true, now);  // proven: it needs no padding
  return true;
}

std::optional<Sessions::Delivery> Sessions::on_question(const QuestionPacket& packet,
                                                        std::string_view datagram,
                                                        const proto::Endpoint& from,
                                                        TimePoint now) {
  const auto refuse = [&](Drop reason) {
    drop(reason);
    return std::nullopt;
  };
  if (client_mode_) return refuse(Drop::kClientMode);
  if (packet.destination != mark_of(self_.peer_id())) return refuse(Drop::kOtherPeer);
  const bool proven = packet.cookie != Cookie{} && cookies_.valid(packet.cookie, from, now);
  const auto over = proven ? limiter_.proven(from, now) : limiter_.unproven(from, now);
  if (over) return refuse(*over);
  if (replayed(datagram)) return refuse(Drop::kReplay);
  // The address may be another's: what it gets must not be worth the forger's while.
  const std::size_t longest = std::min(proto::kMaxDatagramBytes, 3 * datagram.size());
  if (!proven && !limiter_.reply(from, longest, now)) {
    challenge(from, packet.echo, now);
    return std::nullopt;
  }
  std::optional<Answerer::Question> question = answerer_.open(packet, now);
  if (!question) return refuse(Drop::kCiphertext);
  Delivery delivery;
  delivery.from.endpoint = from;
  delivery.message = std::move(question->message);
  delivery.via = Via::kQuestion;
  // The address may be another's: what it gets must not be worth the forger's while.
  delivery.room =
      proven ? kMaxReplyBytes : std::min(kMaxReplyBytes, 3 * datagram.size() - kEmptyReplyBytes);
  delivery.echo = packet.echo;
  delivery.reply_key = question->reply_key;
  return delivery;
}

void Sessions::respond(const Delivery& to, std::string_view message, TimePoint now) {
  CHECK(message.size() <= to.room) << message.size() << " of " << to.room;
  if (to.via != Via::kQuestion) {
    // The newest session may be one that the asker has given up: its handshake came late.
    if (const auto it = by_id_.find(to.session); it != by_id_.end())
      return send_on(*it->second, message);
    return send(to.from, message, now);
  }
  const ReplyPacket packet{to.echo, cookies_.make(to.from.endpoint, now), {}, {}};
  std::string out = begin_datagram(kReplyHeaderBytes + message.size() + kTagBytes);
  append(out, packet);
  const std::size_t plain_at = out.size();
  out += message;
  encrypt_tail(out, plain_at, to.reply_key, reply_nonce(packet.echo, packet.cookie));
  transmit(to.from.endpoint, std::move(out));
}

std::optional<Sessions::Delivery> Sessions::on_reply(const ReplyPacket& packet,
                                                     const proto::Endpoint& from, TimePoint now) {
  const Asker::Open* open = asker_.find(packet.echo, from, now);
  if (open == nullptr) {
    drop(Drop::kUnasked);
    return std::nullopt;
  }
  std::optional<std::string> message = decrypt(
      open->reply_key, reply_nonce(packet.echo, packet.cookie), packet.header, packet.ciphertext);
  if (!message) {  // forged: the true one may still come
    drop(Drop::kCiphertext);
    return std::nullopt;
  }
  const Asker::Open question = asker_.take(*open);
  remember(from, question.to.key, packet.cookie, now);
  Delivery delivery;
  delivery.from = question.to;
  delivery.message = *std::move(message);
  delivery.via = Via::kReply;
  return delivery;
}

}  // namespace shoal::dht
