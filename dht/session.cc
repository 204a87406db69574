// SPDX-License-Identifier: Apache-2.0
#include "dht/session.h"

#include <algorithm>

#include "base/check.h"
#include "identity/sodium.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

// Sessions of one pair that may live at once: both sides may have begun at the same time.
constexpr std::size_t kMaxPerContact = 2;

bool is_zero(const proto::PeerId& peer) { return peer == proto::PeerId{}; }

}  // namespace

Sessions::Sessions(const identity::Identity& self,
                   const std::optional<identity::SwarmKey>& swarm_key, const SessionConfig& config,
                   bool client_mode, identity::Random& random)
    : self_(self),
      config_(config),
      client_mode_(client_mode),
      random_(random.bytes<32>()),
      seal_(swarm_key),
      swarm_secret_(seal_.derive("shoal-dht-session-secret-v1")),
      cookies_(config_, random),
      limiter_(config_.limits, random),
      asker_(config_, swarm_secret_, random),
      answerer_(config_, swarm_secret_, self),
      proofs_(config_.max_proofs, config_.cookie_ttl),
      seen_nonces_(config_.max_seen_nonces) {}

std::optional<Datagram> Sessions::poll_transmit() {
  if (transmits_.empty()) return std::nullopt;
  Datagram datagram = std::move(transmits_.front());
  transmits_.pop_front();
  return datagram;
}

std::optional<Contact> Sessions::poll_lost() {
  if (lost_.empty()) return std::nullopt;
  const Contact contact = lost_.front();
  lost_.pop_front();
  return contact;
}

void Sessions::transmit(const proto::Endpoint& to, std::string datagram) {
  seal_.close(datagram, random_);
  transmits_.push_back({to, std::move(datagram)});
}

Sessions::Session* Sessions::newest(const Contact& to) const {
  const auto positions = by_endpoint_.find(to.endpoint);
  if (positions == by_endpoint_.end()) return nullptr;
  for (auto position = positions->second.rbegin(); position != positions->second.rend();
       ++position) {
    if (is_zero(to.peer) || (*position)->remote.peer == to.peer) return &**position;
  }
  return nullptr;
}

const Sessions::Proof* Sessions::proof(const Contact& to, TimePoint now) {
  const Proof* found = proofs_.find(to.endpoint, now);
  const bool good = found != nullptr &&
                    now - found->received < config_.cookie_ttl - config_.cookie_slack &&
                    (is_zero(to.peer) || identity::peer_id_of(found->key) == to.peer);
  return good ? found : nullptr;
}

bool Sessions::is_direct(const Contact& to, TimePoint now) {
  return has_session(to) || proof(to, now) != nullptr;
}

void Sessions::send_on(Session& session, std::string_view message) {
  MessagePacket packet{};
  packet.session = session.send_id;
  packet.counter = session.send_counter++;
  packet.destination = mark_of(session.remote.peer);
  std::string out = begin_datagram(kMessageHeaderBytes + message.size() + kTagBytes);
  append(out, packet);
  const std::size_t plain_at = out.size();
  out += message;
  encrypt_tail(out, plain_at, session.send_key, message_nonce(packet.counter));
  transmit(session.remote.endpoint, std::move(out));
}

void Sessions::send(const Contact& to, std::string_view message, TimePoint now) {
  CHECK(message.size() <= kMaxAnswerBytes) << message.size();
  if (Session* found = newest(to)) {
    if (!found->challenged || found->confirmed) return send_on(*found, message);
    remove(by_id_.at(found->id));  // its handshake was lost
  }
  // Only requests begin a session, and they fit beside a handshake.
  if (message.size() > kMaxRequestBytes) return drop(Drop::kSendBounds);
  auto it = pending_.find(to);
  if (it != pending_.end() && now - it->second.started > config_.pending_ttl) {
    pending_.erase(it);
    it = pending_.end();
  }
  if (it == pending_.end()) {
    if (const Proof* found = proof(to, now)) {
      const Proof use = *found;
      proofs_.erase(to.endpoint);  // a cookie is good for one handshake
      return begin(to.endpoint, use, message);
    }
    expire_pending(now);
    if (pending_.size() >= config_.max_pending) return drop(Drop::kSendBounds);
    it = pending_.emplace(to, Pending{}).first;
    it->second.started = now;
    it->second.last_hello = now - config_.hello_interval;
    random_.fill(it->second.hello);
  }
  Pending& pending = it->second;
  const bool known =
      std::find(pending.queue.begin(), pending.queue.end(), message) != pending.queue.end();
  if (!known) {
    if (pending.queue.size() >= config_.max_queue) return drop(Drop::kSendBounds);
    pending.queue.emplace_back(message);
  }
  if (pending.proof) {
    const Pending ready = std::move(pending);
    pending_.erase(it);
    complete(to.endpoint, ready, *ready.proof);
  } else if (now - pending.last_hello >= config_.hello_interval) {
    greet(to, pending, now);
  }
}

void Sessions::greet(const Contact& to, Pending& pending, TimePoint now) {
  pending.last_hello = now;
  const HelloPacket packet{pending.hello, to.peer};
  std::string out = begin_datagram(49);
  append(out, packet);
  transmit(to.endpoint, std::move(out));
}

void Sessions::challenge(const proto::Endpoint& to, const Echo& echo, TimePoint now) {
  if (!limiter_.challenge(to, now)) return drop(Drop::kBudget);
  std::string out = begin_datagram(kChallengeDatagramBytes - kSealBytes);
  append(out, ChallengePacket{echo, cookies_.make(to, now), self_.public_key()});
  transmit(to, std::move(out));
}

void Sessions::expire_pending(TimePoint now) {
  std::erase_if(pending_, [&](const auto& entry) {
    return now - entry.second.started > config_.pending_ttl;
  });
}

Sessions::Session& Sessions::add(const Contact& remote, const SessionKeys& keys, bool initiator) {
  const Id id = initiator ? keys.initiator_session : keys.responder_session;
  const Session* before = newest(remote);
  const TimePoint full_at = before != nullptr ? before->full_at : TimePoint{};
  if (const auto it = by_id_.find(id); it != by_id_.end()) remove(it->second);
  if (const auto same = by_endpoint_.find(remote.endpoint); same != by_endpoint_.end()) {
    std::size_t count = 0;
    Position oldest;
    for (const Position& position : same->second) {
      if (position->remote == remote && count++ == 0) oldest = position;
    }
    if (count >= kMaxPerContact) remove(oldest);
  }
  if (sessions_.size() >= config_.max_sessions) remove(sessions_.begin());
  const Position position = sessions_.emplace(sessions_.end());
  position->id = id;
  position->remote = remote;
  position->send_key = initiator ? keys.to_responder : keys.to_initiator;
  position->receive_key = initiator ? keys.to_initiator : keys.to_responder;
  position->send_id = initiator ? keys.responder_session : keys.initiator_session;
  position->full_at = full_at;  // a new session is no way to a new bucket
  by_endpoint_[remote.endpoint].push_back(position);
  by_id_[id] = position;
  return *position;
}

void Sessions::remove(Position session) {
  by_id_.erase(session->id);
  const auto positions = by_endpoint_.find(session->remote.endpoint);
  std::erase(positions->second, session);
  if (positions->second.empty()) by_endpoint_.erase(positions);
  sessions_.erase(session);
}

bool Sessions::replayed(std::string_view datagram) {
  std::uint64_t nonce = 0;
  for (std::size_t i = 0; i < 8; ++i) nonce = nonce << 8 | identity::as_bytes(datagram)[i];
  return !seen_nonces_.insert(nonce);
}

std::optional<Sessions::Delivery> Sessions::receive(std::string_view datagram,
                                                    const proto::Endpoint& from, TimePoint now) {
  const auto refuse = [&](Drop reason) {
    drop(reason);
    return std::nullopt;
  };
  if (datagram.size() <= kSealBytes || datagram.size() > proto::kMaxDatagramBytes)
    return refuse(Drop::kSize);
  std::array<char, proto::kMaxDatagramBytes> buffer;
  const auto plain = seal_.open(datagram, buffer);
  if (!plain) return refuse(Drop::kSeal);
  const std::optional<Packet> packet = parse_packet(*plain);
  if (!packet) return refuse(Drop::kPacket);
  if (const auto* message = std::get_if<MessagePacket>(&*packet))
    return on_message(*message, datagram, from, now);
  if (const auto* question = std::get_if<QuestionPacket>(&*packet))
    return on_question(*question, datagram, from, now);
  if (const auto* reply = std::get_if<ReplyPacket>(&*packet)) return on_reply(*reply, from, now);
  if (const auto* handshake = std::get_if<HandshakePacket>(&*packet))
    return on_handshake(*handshake, from, now);
  if (const auto* hello = std::get_if<HelloPacket>(&*packet)) {
    on_hello(*hello, datagram, from, now);
  } else {
    on_challenge(std::get<ChallengePacket>(*packet), from, now);
  }
  return std::nullopt;
}

void Sessions::on_hello(const HelloPacket& packet, std::string_view datagram,
                        const proto::Endpoint& from, TimePoint now) {
  if (client_mode_) return drop(Drop::kClientMode);
  if (!is_zero(packet.destination) && packet.destination != self_.peer_id())
    return drop(Drop::kOtherPeer);
  if (const auto reason = limiter_.unproven(from, now)) return drop(*reason);
  if (replayed(datagram)) return drop(Drop::kReplay);
  challenge(from, packet.id, now);
}

void Sessions::on_challenge(const ChallengePacket& packet, const proto::Endpoint& from,
                            TimePoint now) {
  const proto::PeerId peer = identity::peer_id_of(packet.key);
  if (peer == self_.peer_id()) return drop(Drop::kOtherPeer);  // we greeted ourselves
  const Proof proof{packet.key, packet.cookie, now};
  for (const proto::PeerId& asked : {peer, proto::PeerId{}}) {
    const auto it = pending_.find(Contact{asked, from});
    if (it == pending_.end() || it->second.proof || it->second.hello != packet.echo) continue;
    const Pending pending = std::move(it->second);
    pending_.erase(it);
    return complete(from, pending, proof);
  }
  if (on_question_challenged(packet, from, now)) return;
  // Otherwise it may say that the peer forgot our session: the echo names one of our messages on
  // it.
  const auto positions = by_endpoint_.find(from);
  if (positions == by_endpoint_.end()) return drop(Drop::kUnasked);
  for (const Position& position : positions->second) {
    MessagePacket sent{};
    sent.session = position->send_id;
    const Echo first = echo_of(sent);
    if (position->remote.peer != peer ||
        !std::equal(first.begin(), first.begin() + 8, packet.echo.begin()))
      continue;
    if (!position->confirmed) {
      // Beginning anew at once, with all that is in flight, would let more overtake more: what is
      // overdue is sent again, and begins anew if nothing was heard by then.
      position->challenged = true;
      return remember(from, packet.key, packet.cookie, now);
    }
    const Contact contact = position->remote;
    remove(position);
    Pending& pending = pending_[contact];
    pending.started = now;
    pending.last_hello = now;
    pending.proof = proof;
    lost_.push_back(contact);
    return;
  }
  drop(Drop::kUnasked);
}

void Sessions::begin(const proto::Endpoint& at, const Proof& proof, std::string_view message) {
  const auto handshake = make_handshake(self_, swarm_secret_, proof.key, proof.cookie, random_);
  if (!handshake) return drop(Drop::kSignature);
  Session& session =
      add(Contact{identity::peer_id_of(proof.key), at, proof.key}, handshake->keys, true);
  std::string out = begin_datagram(kHandshakeHeaderBytes + message.size() + kTagBytes);
  append(out, handshake->packet);
  const std::size_t plain_at = out.size();
  out += message;
  encrypt_tail(out, plain_at, session.send_key, message_nonce(session.send_counter++));
  transmit(at, std::move(out));
}

void Sessions::complete(const proto::Endpoint& at, const Pending& pending, const Proof& proof) {
  if (pending.queue.empty()) return;
  begin(at, proof, pending.queue.front());
  const Contact remote{identity::peer_id_of(proof.key), at, proof.key};
  for (std::size_t i = 1; i < pending.queue.size(); ++i) {
    if (Session* session = newest(remote)) send_on(*session, pending.queue[i]);
  }
}

std::optional<Sessions::Delivery> Sessions::on_handshake(const HandshakePacket& packet,
                                                         const proto::Endpoint& from,
                                                         TimePoint now) {
  const auto refuse = [&](Drop reason) {
    drop(reason);
    return std::nullopt;
  };
  if (client_mode_) return refuse(Drop::kClientMode);
  if (packet.key == self_.public_key()) return refuse(Drop::kOtherPeer);
  if (!cookies_.valid(packet.cookie, from, now)) return refuse(Drop::kCookie);
  if (const auto reason = limiter_.handshake(from, now)) return refuse(*reason);
  const auto keys = accept_handshake(self_, answerer_.exchange_secret(), swarm_secret_, packet);
  if (!keys) return refuse(Drop::kSignature);
  std::optional<std::string> message =
      decrypt(keys->to_responder, message_nonce(0), packet.header, packet.ciphertext);
  if (!message) return refuse(Drop::kCiphertext);
  cookies_.use(packet.cookie);
  Delivery delivery;
  delivery.from = Contact{identity::peer_id_of(packet.key), from, packet.key};
  delivery.message = *std::move(message);
  delivery.new_session = true;
  Session& session = add(delivery.from, *keys, false);
  session.window.mark(0);
  session.confirmed = true;
  delivery.session = session.id;
  return delivery;
}

std::optional<Sessions::Delivery> Sessions::on_message(const MessagePacket& packet,
                                                       std::string_view datagram,
                                                       const proto::Endpoint& from, TimePoint now) {
  const auto refuse = [&](Drop reason) {
    drop(reason);
    return std::nullopt;
  };
  const auto it = by_id_.find(packet.session);
  if (it == by_id_.end()) {
    // We lost that session (restart, eviction): say so. Not twice for the same bytes, and not to
    // bytes that were meant for another: a captured datagram brings its thief no answer.
    if (client_mode_) return refuse(Drop::kClientMode);
    if (packet.destination != mark_of(self_.peer_id())) return refuse(Drop::kOtherPeer);
    if (const auto reason = limiter_.unproven(from, now)) return refuse(*reason);
    if (replayed(datagram)) return refuse(Drop::kReplay);
    challenge(from, echo_of(packet), now);
    return std::nullopt;
  }
  Session& session = *it->second;
  if (!session.window.fresh(packet.counter)) return refuse(Drop::kCounter);
  std::optional<std::string> message =
      decrypt(session.receive_key, message_nonce(packet.counter), packet.header, packet.ciphertext);
  if (!message) return refuse(Drop::kCiphertext);
  session.window.mark(packet.counter);
  session.confirmed = true;
  if (session.remote.endpoint !=
      from) {  // authentic, from another address: it must prove that address first
    if (!client_mode_) challenge(from, echo_of(packet), now);
    return std::nullopt;
  }
  if (!limiter_.message(from, session.full_at, now)) return refuse(Drop::kPeerRate);
  sessions_.splice(sessions_.end(), sessions_, it->second);  // used last
  Delivery delivery;
  delivery.from = session.remote;
  delivery.message = *std::move(message);
  delivery.session = session.id;
  return delivery;
}

}  // namespace shoal::dht
