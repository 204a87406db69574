// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/hostile_peers.h"

#include "dht/packet.h"
#include "dht/record.h"
#include "proto/limits.h"

namespace shoal::sim {
namespace {

// The signer, as a map key; empty for what does not parse.
std::string signer_of(const wire::SignedRecord& record) {
  wire::Record parsed;
  return parsed.ParseFromString(record.payload()) ? parsed.public_key() : std::string();
}

wire::DhtMessage store_of(const identity::SwarmId& swarm, const wire::SignedRecord& record,
                          std::uint32_t remaining_ttl_ms) {
  wire::DhtMessage message;
  wire::Record parsed;
  if (!parsed.ParseFromString(record.payload())) return message;
  const auto model = proto::Digest::from_bytes(parsed.offer().model_digest());
  if (!model) return message;
  wire::Store& store = *message.mutable_store();
  store.add_keys(dht::model_key(swarm, *model).to_bytes());
  *store.mutable_record() = record;
  store.set_remaining_ttl_ms(remaining_ttl_ms);
  return message;
}

dht::Duration wait_of(FastRandom& chance, double mean_s) {
  return dht::Duration(static_cast<std::int64_t>(1e6 + chance.exponential(mean_s * 1e9)));
}

void tell_contacts(AnswerRoom& room, wire::Found& found, const std::vector<dht::Contact>& contacts,
                   FastRandom& chance) {
  if (contacts.empty()) return;
  for (int i = 0; i < 8; ++i) {
    if (!room.add(found, contacts[chance.below(contacts.size())])) return;
  }
}

}  // namespace

Liar::Liar(const HostileOptions& options)
    : Speaker(options.self, options.swarm_key, FastRandom(options.seed).bytes<32>()),
      directory_(options.directory),
      chance_(options.seed + 1),
      next_(options.start) {}

void Liar::keep(const wire::SignedRecord& record) {
  if (const std::string signer = signer_of(record); !signer.empty())
    oldest_.try_emplace(signer, record);
}

wire::DhtMessage Liar::heard(const Delivery& delivery, const wire::DhtMessage& message,
                             dht::TimePoint) {
  if (message.has_ping()) return pong(delivery.from.endpoint);
  if (message.has_store()) {
    keep(message.store().record());
    return accept_all(message.store());
  }
  wire::DhtMessage reply;
  if (!message.has_find()) return reply;
  AnswerRoom room(delivery.room);
  wire::Found& found = *reply.mutable_found();
  tell_contacts(room, found, directory_(), chance_);
  for (const auto& [signer, record] : oldest_) {
    if (!room.add(found, record, proto::kMaxRecordTtlMs)) break;
  }
  found.set_total_records(static_cast<std::uint32_t>(found.records_size()));
  return reply;
}

void Liar::handle_timeout(dht::TimePoint now) {
  if (now < next_) return;
  next_ = now + wait_of(chance_, 2);
  const std::vector<dht::Contact> honest = directory_();
  if (honest.empty()) return;
  const dht::Contact& victim = honest[chance_.below(honest.size())];
  wire::DhtMessage message;
  message.mutable_ping();  // so that it is known, and given records
  if (!oldest_.empty() && chance_.chance(0.7)) {
    auto it = oldest_.begin();
    std::advance(it, chance_.below(oldest_.size()));
    message = store_of(swarm_, it->second, proto::kMaxRecordTtlMs);
  }
  send(victim, std::move(message), now);
}

Poisoner::Poisoner(const HostileOptions& options)
    : Speaker(options.self, options.swarm_key, FastRandom(options.seed).bytes<32>()),
      directory_(options.directory),
      chance_(options.seed + 1),
      keys_(1),  // of which one, all zero, is no key at all
      next_(options.start) {
  for (int i = 0; i < 8; ++i)
    keys_.push_back(identity::Identity::from_seed(chance_.bytes<32>()).public_key());
}

dht::Contact Poisoner::nonsense() {
  const std::vector<dht::Contact> honest = directory_();
  dht::Contact contact;
  contact.key = keys_[chance_.below(keys_.size())];
  contact.endpoint = proto::Endpoint::v4(chance_.bytes<4>(), 7000);
  // A true key at a wrong place, a wrong key at a true place, or both wrong.
  if (!honest.empty() && chance_.chance(0.6)) {
    const dht::Contact& known = honest[chance_.below(honest.size())];
    if (chance_.chance(0.5)) {
      contact.key = known.key;
    } else {
      contact.endpoint = known.endpoint;
    }
  }
  contact.endpoint.port = static_cast<std::uint16_t>(chance_.chance(0.1) ? 0 : 7000);
  contact.peer = identity::peer_id_of(contact.key);
  return contact;
}

wire::SignedRecord Poisoner::forged() {
  wire::SignedRecord record;
  if (!seen_.empty()) record = seen_[chance_.below(seen_.size())];
  wire::Record inner;
  if (seen_.empty() || !inner.ParseFromString(record.payload()) || chance_.chance(0.1)) {
    record.set_payload(std::string(chance_.below(200), '\x5a'));
    record.set_signature(std::string(64, '\0'));
    return record;
  }
  // As the owner would write it next, but for the signature.
  inner.set_sequence(inner.sequence() + 1 + chance_.below(1000));
  if (chance_.chance(0.3)) inner.mutable_load()->set_state(0);
  if (chance_.chance(0.2)) inner.set_ttl_ms(static_cast<std::uint32_t>(chance_.next()));
  record.set_payload(inner.SerializeAsString());
  if (chance_.chance(0.5)) {
    const auto bytes = chance_.bytes<64>();
    record.set_signature(std::string(bytes.begin(), bytes.end()));
  }
  return record;
}

wire::DhtMessage Poisoner::heard(const Delivery& delivery, const wire::DhtMessage& message,
                                 dht::TimePoint) {
  wire::DhtMessage reply;
  if (message.has_store() && seen_.size() < 100) seen_.push_back(message.store().record());
  if (message.has_found()) {
    for (const wire::StoredRecord& stored : message.found().records()) {
      if (seen_.size() < 100) seen_.push_back(stored.record());
    }
    return reply;
  }
  if (message.has_pong() || message.has_stored()) return reply;
  if (chance_.chance(0.1)) return accept_all(message.store());  // whatever was asked
  if (chance_.chance(0.1)) reply.set_request_id(chance_.next());
  if (message.has_ping()) {
    reply.mutable_pong()->set_observed_address(std::string(chance_.below(40), 'x'));
    return reply;
  }
  AnswerRoom room(delivery.room);
  wire::Found& found = *reply.mutable_found();
  for (std::uint64_t i = chance_.below(20); i > 0; --i) {
    if (!room.add(found, nonsense())) break;
  }
  tell_contacts(room, found, directory_(), chance_);
  for (std::uint64_t i = chance_.below(4); i > 0; --i) {
    const auto ttl = static_cast<std::uint32_t>(chance_.next());
    if (!room.add(found, forged(), ttl)) break;
  }
  found.set_next_cursor(chance_.chance(0.5) ? static_cast<std::uint32_t>(chance_.next()) : 0);
  found.set_total_records(static_cast<std::uint32_t>(chance_.next()));
  return reply;
}

void Poisoner::handle_timeout(dht::TimePoint now) {
  if (now < next_) return;
  next_ = now + wait_of(chance_, 2);
  const std::vector<dht::Contact> honest = directory_();
  if (honest.empty()) return;
  const dht::Contact& victim = honest[chance_.below(honest.size())];
  wire::DhtMessage message = store_of(swarm_, forged(), proto::kMaxRecordTtlMs);
  if (!message.has_store() || chance_.chance(0.4)) {
    message.mutable_find()->set_target(self_.peer_id().to_bytes());  // to learn records
    message.mutable_find()->set_want_records(true);
    if (!seen_.empty()) {
      const wire::DhtMessage keyed = store_of(swarm_, seen_[chance_.below(seen_.size())], 1);
      if (keyed.has_store()) message.mutable_find()->set_target(keyed.store().keys(0));
    }
  }
  send(victim, std::move(message), now);
}

Flooder::Flooder(const HostileOptions& options, double datagrams_per_s,
                 std::vector<proto::Endpoint> forged)
    : Speaker(options.self, options.swarm_key, FastRandom(options.seed).bytes<32>()),
      directory_(options.directory),
      forged_(std::move(forged)),
      interval_(static_cast<std::int64_t>(1e9 / datagrams_per_s)),
      seal_(options.swarm_key),
      chance_(options.seed + 1),
      next_(options.start) {}

void Flooder::handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                              dht::TimePoint now) {
  if (captured_.size() < 64) captured_.emplace_back(bytes);
  Speaker::handle_datagram(bytes, from, now);
}

std::string Flooder::make(const dht::Contact& victim, dht::TimePoint now) {
  const std::uint64_t kind = chance_.below(10);
  if (kind < 3) {
    std::string bytes = dht::begin_datagram(49);
    dht::append(bytes, dht::HelloPacket{chance_.bytes<16>(), victim.peer});
    seal_.close(bytes, random_);
    return bytes;
  }
  if (kind < 6) {
    wire::DhtMessage message;
    message.set_request_id(chance_.next() | 1);
    message.mutable_find()->set_target(std::string(32, static_cast<char>(chance_.next())));
    message.mutable_find()->set_want_records(true);
    if (sessions_.ask(victim, message.SerializeAsString(), dht::kMaxReplyBytes, now)) {
      if (auto datagram = sessions_.poll_transmit()) return std::move(datagram->bytes);
    }
  }
  if (kind < 8 && !captured_.empty()) {
    std::string bytes = captured_[chance_.below(captured_.size())];
    if (chance_.chance(0.5) && !bytes.empty())
      bytes[chance_.below(bytes.size())] ^= static_cast<char>(1 + chance_.below(255));
    return bytes;
  }
  std::string bytes(1 + chance_.below(300), '\0');
  for (char& byte : bytes) byte = static_cast<char>(chance_.next());
  return bytes;
}

void Flooder::handle_timeout(dht::TimePoint now) {
  if (now < next_) return;
  next_ = now + interval_;
  const std::vector<dht::Contact> honest = directory_();
  if (honest.empty()) return;
  const dht::Contact& victim = honest[chance_.below(honest.size())];
  Outgoing out{{victim.endpoint, make(victim, now)}, std::nullopt};
  if (!forged_.empty() && chance_.chance(0.5))
    out.forged_source = forged_[chance_.below(forged_.size())];
  ready_.push_back(std::move(out));
}

std::optional<Outgoing> Flooder::poll_transmit() {
  if (!ready_.empty()) {
    Outgoing out = std::move(ready_.back());
    ready_.pop_back();
    return out;
  }
  return Speaker::poll_transmit();
}

}  // namespace shoal::sim
