// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/colluder.h"

namespace shoal::sim {

struct Colluders::Knowledge {
  std::optional<dht::SwarmKey> swarm_key;
  std::vector<dht::Contact> members;
  SortedContacts sorted;  // of members, made anew when there are more
  std::uint64_t withheld = 0;
};

Colluders::Colluders(std::optional<dht::SwarmKey> swarm_key)
    : knowledge_(std::make_shared<Knowledge>()) {
  knowledge_->swarm_key = std::move(swarm_key);
}

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
    : Speaker(self, knowledge->swarm_key, seed), knowledge_(std::move(knowledge)) {}

wire::DhtMessage Colluder::heard(const Delivery& delivery, const wire::DhtMessage& message,
                                 dht::TimePoint) {
  if (message.has_ping()) return pong(delivery.from.endpoint);
  if (message.has_store()) {
    ++knowledge_->withheld;
    return accept_all(message.store());
  }
  wire::DhtMessage reply;
  const auto target = dht::Key::from_bytes(message.find().target());
  if (!message.has_find() || !target) return reply;
  if (knowledge_->sorted.all().size() != knowledge_->members.size())
    knowledge_->sorted = SortedContacts(knowledge_->members);
  AnswerRoom room(delivery.room);
  wire::Found& found = *reply.mutable_found();
  for (const dht::Contact& contact : knowledge_->sorted.closest(*target, 20)) {
    if (!room.add(found, contact)) break;
  }
  return reply;
}

}  // namespace shoal::sim
