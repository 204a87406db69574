// SPDX-License-Identifier: Apache-2.0
#include "dht/session.h"

#include <algorithm>

#include "dht/sodium.h"
#include "kernels/check.h"

namespace shoal::dht {
namespace {

// Sessions of one pair that may live at once: both sides may have begun at the same time.
constexpr std::size_t kMaxPerContact = 2;

bool is_zero(const proto::PeerId& peer) { return peer == proto::PeerId{}; }

}  // namespace

Sessions::Sessions(const Identity& self, const std::optional<SwarmKey>& swarm_key,
                   const SessionConfig& config, bool client_mode, Random& random)
    : self_(self),
      config_(config),
      client_mode_(client_mode),
      random_(random.bytes<32>()),
      seal_(swarm_key),
      swarm_secret_(seal_.derive("shoal-dht-session-secret-v1")),
      cookies_(config, random) {}

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

void Sessions::transmit(const proto::Endpoint& to, std::string_view plain) {
  transmits_.push_back({to, seal_.close(plain, random_)});
}

const Sessions::Session* Sessions::newest(const Contact& to) const {
  const auto ids = by_endpoint_.find(to.endpoint);
  if (ids == by_endpoint_.end()) return nullptr;
  for (auto id = ids->second.rbegin(); id != ids->second.rend(); ++id) {
    const Session& session = sessions_.at(*id);
    if (is_zero(to.peer) || session.remote.peer == to.peer) return &session;
  }
  return nullptr;
}

void Sessions::send_on(Session& session, std::string_view message) {
  MessagePacket packet{};
  packet.session = session.send_id;
  packet.counter = session.send_counter++;
  packet.destination = mark_of(session.remote.peer);
  const std::string header = encode_header(packet);
  transmit(session.remote.endpoint,
           header + encrypt(session.send_key, packet.counter, header, message));
}

void Sessions::send(const Contact& to, std::string message, TimePoint now) {
  CHECK(message.size() <= kMaxAnswerBytes) << message.size();
  if (const Session* found = newest(to)) {
    send_on(const_cast<Session&>(*found), message);
    return;
  }
  // Only requests begin a session, and they fit beside a handshake.
  if (message.size() > kMaxRequestBytes) return drop();
  auto it = pending_.find(to);
  if (it != pending_.end() && now - it->second.started > config_.pending_ttl) {
    pending_.erase(it);
    it = pending_.end();
  }
  if (it == pending_.end()) {
    expire_pending(now);
    if (pending_.size() >= config_.max_pending) return drop();
    it = pending_.emplace(to, Pending{}).first;
    it->second.started = now;
    it->second.last_hello = now - config_.hello_interval;
    random_.fill(it->second.hello);
  }
  Pending& pending = it->second;
  const bool known =
      std::find(pending.queue.begin(), pending.queue.end(), message) != pending.queue.end();
  if (!known) {
    if (pending.queue.size() >= config_.max_queue) return drop();
    pending.queue.push_back(std::move(message));
  }
  if (pending.challenge) {
    Pending ready = std::move(pending);
    pending_.erase(it);
    complete(to, std::move(ready), *ready.challenge);
  } else if (now - pending.last_hello >= config_.hello_interval) {
    greet(to, pending, now);
  }
}

void Sessions::greet(const Contact& to, Pending& pending, TimePoint now) {
  pending.last_hello = now;
  transmit(to.endpoint, encode(HelloPacket{pending.hello, to.peer}));
}

void Sessions::challenge(const proto::Endpoint& to, const Echo& echo, TimePoint now) {
  transmit(to, encode(ChallengePacket{echo, cookies_.make(to, echo, now), self_.public_key()}));
}

void Sessions::expire_pending(TimePoint now) {
  std::erase_if(pending_, [&](const auto& entry) {
    return now - entry.second.started > config_.pending_ttl;
  });
}

Sessions::Id Sessions::add(const Contact& remote, const SessionKeys& keys, bool initiator) {
  const Id id = initiator ? keys.initiator_session : keys.responder_session;
  remove(id);
  std::vector<Id> same;
  if (const auto ids = by_endpoint_.find(remote.endpoint); ids != by_endpoint_.end()) {
    for (const Id other : ids->second) {
      if (sessions_.at(other).remote == remote) same.push_back(other);
    }
  }
  if (same.size() >= kMaxPerContact) remove(same.front());
  if (sessions_.size() >= config_.max_sessions) remove(by_use_.begin()->second);
  Session& session = sessions_[id];
  session.remote = remote;
  session.send_key = initiator ? keys.to_responder : keys.to_initiator;
  session.receive_key = initiator ? keys.to_initiator : keys.to_responder;
  session.send_id = initiator ? keys.responder_session : keys.initiator_session;
  by_endpoint_[remote.endpoint].push_back(id);
  session.last_used = ++use_clock_;
  by_use_[session.last_used] = id;
  return id;
}

void Sessions::remove(Id id) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  by_use_.erase(it->second.last_used);
  const auto ids = by_endpoint_.find(it->second.remote.endpoint);
  std::erase(ids->second, id);
  if (ids->second.empty()) by_endpoint_.erase(ids);
  sessions_.erase(it);
}

void Sessions::touch(Id id, Session& session) {
  by_use_.erase(session.last_used);
  session.last_used = ++use_clock_;
  by_use_[session.last_used] = id;
}

bool Sessions::replayed(std::string_view datagram) {
  std::array<std::uint8_t, kSealNonceBytes> nonce;
  std::copy_n(as_bytes(datagram), nonce.size(), nonce.begin());
  if (!seen_nonces_.insert(nonce).second) return true;
  seen_order_.push_back(nonce);
  if (seen_order_.size() > config_.max_seen_nonces) {
    seen_nonces_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
  return false;
}

std::optional<Sessions::Delivery> Sessions::receive(std::string_view datagram,
                                                    const proto::Endpoint& from, TimePoint now) {
  const std::optional<std::string> plain = seal_.open(datagram);
  const std::optional<Packet> packet = plain ? parse_packet(*plain) : std::nullopt;
  if (!packet) {
    drop();
    return std::nullopt;
  }
  if (const auto* message = std::get_if<MessagePacket>(&*packet))
    return on_message(*message, datagram, from, now);
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
  const bool for_us = is_zero(packet.destination) || packet.destination == self_.peer_id();
  if (client_mode_ || !for_us || replayed(datagram)) return drop();
  challenge(from, packet.id, now);
}

void Sessions::on_challenge(const ChallengePacket& packet, const proto::Endpoint& from,
                            TimePoint now) {
  const proto::PeerId peer = peer_id_of(packet.key);
  if (peer == self_.peer_id()) return drop();  // we greeted ourselves
  for (const proto::PeerId& asked : {peer, proto::PeerId{}}) {
    const auto it = pending_.find(Contact{asked, from});
    if (it == pending_.end() || it->second.challenge || it->second.hello != packet.echo) continue;
    Pending pending = std::move(it->second);
    pending_.erase(it);
    complete(Contact{asked, from}, std::move(pending), packet);
    return;
  }
  // Otherwise it may say that the peer forgot our session: the echo names one of our messages on
  // it.
  const auto ids = by_endpoint_.find(from);
  if (ids == by_endpoint_.end()) return drop();
  for (const Id id : ids->second) {
    const Session& session = sessions_.at(id);
    MessagePacket sent{};
    sent.session = session.send_id;
    sent.counter = 0;
    const Echo first = echo_of(sent);
    if (session.remote.peer != peer ||
        !std::equal(first.begin(), first.begin() + 8, packet.echo.begin()))
      continue;
    const Contact contact = session.remote;
    remove(id);
    Pending& pending = pending_[contact];
    pending.started = now;
    pending.last_hello = now;
    pending.challenge = packet;
    lost_.push_back(contact);
    return;
  }
  drop();
}

void Sessions::complete(const Contact& asked, Pending pending, const ChallengePacket& challenge) {
  if (pending.queue.empty()) return;
  std::optional<Handshake> handshake = make_handshake(self_, swarm_secret_, challenge, random_);
  if (!handshake) return drop();
  const Contact remote{peer_id_of(challenge.key), asked.endpoint};
  Session& session = sessions_.at(add(remote, handshake->keys, true));
  const std::string header = encode_header(handshake->packet);
  transmit(remote.endpoint, header + encrypt(session.send_key, session.send_counter++, header,
                                             pending.queue.front()));
  pending.queue.pop_front();
  for (const std::string& message : pending.queue) send_on(session, message);
}

std::optional<Sessions::Delivery> Sessions::on_handshake(const HandshakePacket& packet,
                                                         const proto::Endpoint& from,
                                                         TimePoint now) {
  const proto::PeerId peer = peer_id_of(packet.key);
  if (client_mode_ || peer == self_.peer_id() ||
      !cookies_.valid(packet.cookie, from, packet.echo, now)) {
    drop();
    return std::nullopt;
  }
  const std::optional<SessionKeys> keys = accept_handshake(self_, swarm_secret_, packet);
  std::optional<std::string> message =
      keys ? decrypt(keys->to_responder, 0, packet.header, packet.ciphertext) : std::nullopt;
  if (!message) {
    drop();
    return std::nullopt;
  }
  cookies_.use(packet.cookie);
  const Contact remote{peer, from};
  sessions_.at(add(remote, *keys, false)).window.mark(0);
  return Delivery{remote, *std::move(message), true};
}

std::optional<Sessions::Delivery> Sessions::on_message(const MessagePacket& packet,
                                                       std::string_view datagram,
                                                       const proto::Endpoint& from, TimePoint now) {
  const auto it = sessions_.find(packet.session);
  if (it == sessions_.end()) {
    // We lost that session (restart, eviction): say so. Not twice for the same bytes, and not to
    // bytes that were meant for another: a captured datagram brings its thief no answer.
    if (client_mode_ || packet.destination != mark_of(self_.peer_id()) || replayed(datagram)) {
      drop();
    } else {
      challenge(from, echo_of(packet), now);
    }
    return std::nullopt;
  }
  Session& session = it->second;
  std::optional<std::string> message;
  if (session.window.fresh(packet.counter)) {
    message = decrypt(session.receive_key, packet.counter, packet.header, packet.ciphertext);
  }
  if (!message) {
    drop();
    return std::nullopt;
  }
  session.window.mark(packet.counter);
  if (session.remote.endpoint !=
      from) {  // authentic, from another address: it must prove that address first
    if (!client_mode_) challenge(from, echo_of(packet), now);
    return std::nullopt;
  }
  touch(it->first, session);
  return Delivery{session.remote, *std::move(message), false};
}

}  // namespace shoal::dht
