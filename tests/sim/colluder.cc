// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/colluder.h"

#include "dht/address.h"

namespace shoal::sim {

struct Colluders::Knowledge {
  std::vector<dht::Contact> members;
  SortedContacts sorted;  // of members, made anew when there are more
  std::uint64_t withheld = 0;
};

Colluders::Colluders() : knowledge_(std::make_shared<Knowledge>()) {}

PeerIndex Colluders::add(Swarm& swarm) {
  const proto::Endpoint endpoint = swarm.addresses().next();
  return add_at(swarm, endpoint, swarm.draw_identity());
}

PeerIndex Colluders::add_at(Swarm& swarm, const proto::Endpoint& endpoint,
                            const dht::Identity& identity) {
  const PeerIndex index =
      swarm.add(std::make_unique<Colluder>(knowledge_, identity, swarm.random().bytes<32>()),
                endpoint, identity);
  knowledge_->members.push_back(swarm.contact(index));
  return index;
}

std::size_t Colluders::size() const { return knowledge_->members.size(); }
std::uint64_t Colluders::withheld() const { return knowledge_->withheld; }

Colluder::Colluder(std::shared_ptr<Colluders::Knowledge> knowledge, const dht::Identity& self,
                   const dht::Random::Seed& seed)
    : knowledge_(std::move(knowledge)),
      self_(self),
      random_(seed),
      sessions_(self_, std::nullopt, dht::SessionConfig{}, false, random_) {}

std::optional<Outgoing> Colluder::poll_transmit() {
  auto datagram = sessions_.poll_transmit();
  if (!datagram) return std::nullopt;
  return Outgoing{*std::move(datagram), std::nullopt};
}

void Colluder::handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                               dht::TimePoint now) {
  const auto delivery = sessions_.receive(bytes, from, now);
  if (!delivery) return;
  wire::DhtMessage message;
  if (!message.ParseFromString(delivery->message)) return;
  const wire::DhtMessage reply = answer(*delivery, message);
  if (reply.body_case() == wire::DhtMessage::BODY_NOT_SET) return;
  sessions_.respond(*delivery, reply.SerializeAsString(), now);
}

wire::DhtMessage Colluder::answer(const dht::Sessions::Delivery& asked,
                                  const wire::DhtMessage& message) {
  wire::DhtMessage reply;
  reply.set_request_id(message.request_id());
  if (message.has_ping()) {
    reply.mutable_pong()->set_observed_address(dht::encode_address(asked.from.endpoint));
  } else if (message.has_store()) {
    ++knowledge_->withheld;
    for (int i = 0; i < message.store().keys_size(); ++i)
      reply.mutable_stored()->add_accepted(true);
  } else if (message.has_find()) {
    const auto target = dht::Key::from_bytes(message.find().target());
    if (!target) return reply;
    if (knowledge_->sorted.all().size() != knowledge_->members.size())
      knowledge_->sorted = SortedContacts(knowledge_->members);
    wire::Found& found = *reply.mutable_found();
    std::size_t room = asked.room - 40;
    for (const dht::Contact& contact : knowledge_->sorted.closest(*target, 20)) {
      wire::Contact out;
      out.set_public_key(contact.key.to_bytes());
      out.set_address(dht::encode_address(contact.endpoint));
      if (out.ByteSizeLong() + 3 > room) break;
      room -= out.ByteSizeLong() + 3;
      *found.add_closer() = std::move(out);
    }
  }
  return reply;
}

}  // namespace shoal::sim
