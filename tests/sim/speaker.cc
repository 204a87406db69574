// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/speaker.h"

#include "proto/endpoint.h"

namespace shoal::sim {

Speaker::Speaker(const identity::Identity& self, const std::optional<identity::SwarmKey>& swarm_key,
                 const identity::Random::Seed& seed)
    : self_(self),
      swarm_(swarm_key ? identity::swarm_id_of(*swarm_key) : identity::SwarmId{}),
      random_(seed),
      sessions_(self_, swarm_key, dht::SessionConfig{}, false, random_) {}

std::optional<Outgoing> Speaker::poll_transmit() {
  auto datagram = sessions_.poll_transmit();
  if (!datagram) return std::nullopt;
  return Outgoing{*std::move(datagram), std::nullopt};
}

void Speaker::handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                              dht::TimePoint now) {
  const auto delivery = sessions_.receive(bytes, from, now);
  if (!delivery) return;
  wire::DhtMessage message;
  if (!message.ParseFromString(delivery->message)) return;
  wire::DhtMessage reply = heard(*delivery, message, now);
  if (reply.body_case() == wire::DhtMessage::BODY_NOT_SET) return;
  if (reply.request_id() == 0) reply.set_request_id(message.request_id());
  const std::string text = reply.SerializeAsString();
  if (text.size() <= delivery->room) sessions_.respond(*delivery, text, now);
}

void Speaker::send(const dht::Contact& to, wire::DhtMessage message, dht::TimePoint now) {
  message.set_request_id(random_.next() | 1);
  const std::string text = message.SerializeAsString();
  if (text.size() <= dht::kMaxRequestBytes) sessions_.send(to, text, now);
}

bool AnswerRoom::add(wire::Found& found, const dht::Contact& contact) {
  wire::Contact out;
  out.set_public_key(contact.key.to_bytes());
  out.set_address(proto::encode_endpoint(contact.endpoint));
  const std::size_t size = out.ByteSizeLong() + 3;
  if (size > left_) return false;
  left_ -= size;
  *found.add_closer() = std::move(out);
  return true;
}

bool AnswerRoom::add(wire::Found& found, const wire::SignedRecord& record,
                     std::uint32_t remaining_ttl_ms) {
  wire::StoredRecord stored;
  *stored.mutable_record() = record;
  stored.set_remaining_ttl_ms(remaining_ttl_ms);
  const std::size_t size = stored.ByteSizeLong() + 3;
  if (size > left_) return false;
  left_ -= size;
  *found.add_records() = std::move(stored);
  return true;
}

wire::DhtMessage pong(const proto::Endpoint& to) {
  wire::DhtMessage message;
  message.mutable_pong()->set_observed_address(proto::encode_endpoint(to));
  return message;
}

wire::DhtMessage accept_all(const wire::Store& store) {
  wire::DhtMessage message;
  message.mutable_stored();
  for (int i = 0; i < store.keys_size(); ++i) message.mutable_stored()->add_accepted(true);
  return message;
}

}  // namespace shoal::sim
