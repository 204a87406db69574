// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/colluder.h"

#include <algorithm>
#include <map>

#include "proto/limits.h"

namespace shoal::sim {
namespace {

constexpr std::size_t kContacts = 20;

}  // namespace

struct Colluders::Knowledge {
  // A record as they first got it, and whether a newer one has come.
  struct Version {
    wire::SignedRecord oldest;
    std::uint64_t sequence = 0;
    bool outdated = false;
  };

  void keep(const wire::Store& store);
  std::vector<dht::Contact> ghosts_at(const dht::Key& target) const;

  std::optional<identity::SwarmKey> swarm_key;
  Collusion collusion;
  std::vector<dht::Contact> members;
  SortedContacts sorted;  // of members, made anew when there are more
  SortedContacts ghosts, honest;
  std::map<std::string, std::map<std::string, Version>> records;  // by key, by signer
  std::uint64_t withheld = 0;
};

void Colluders::Knowledge::keep(const wire::Store& store) {
  ++withheld;
  wire::Record record;
  if (!record.ParseFromString(store.record().payload())) return;
  for (const std::string& key : store.keys()) {
    const auto [it, is_new] = records[key].try_emplace(record.public_key());
    Version& version = it->second;
    version.outdated |= !is_new && record.sequence() > version.sequence;
    if (is_new) version = {store.record(), record.sequence(), false};
  }
}

// The closest that can be invented, each in the network of one who lives close to the target.
std::vector<dht::Contact> Colluders::Knowledge::ghosts_at(const dht::Key& target) const {
  std::vector<dht::Contact> result = ghosts.closest(target, kContacts);
  const std::vector<dht::Contact> real = honest.closest(target, result.size());
  for (std::size_t i = 0; i < std::min(real.size(), result.size()); ++i) {
    result[i].endpoint = real[i].endpoint;
    result[i].endpoint.address[15] ^= 0x55;  // a neighbour's
  }
  return result;
}

Colluders::Colluders(std::optional<identity::SwarmKey> swarm_key, Collusion collusion)
    : knowledge_(std::make_shared<Knowledge>()) {
  knowledge_->swarm_key = std::move(swarm_key);
  knowledge_->collusion = collusion;
}

PeerIndex Colluders::add(Swarm& swarm) {
  const proto::Endpoint endpoint = swarm.addresses().next();
  return add_at(swarm, endpoint, swarm.draw_identity());
}

PeerIndex Colluders::add_at(Swarm& swarm, const proto::Endpoint& endpoint,
                            const identity::Identity& identity) {
  Collusion collusion = knowledge_->collusion;
  if (collusion == Collusion::kMixed) collusion = static_cast<Collusion>(size() % 3);
  const PeerIndex index = swarm.add(
      std::make_unique<Colluder>(knowledge_, collusion, identity, swarm.random().bytes<32>()),
      endpoint, identity);
  knowledge_->members.push_back(swarm.contact(index));
  return index;
}

void Colluders::invent(Swarm& swarm, std::size_t ghosts, const std::vector<PeerIndex>& honest) {
  std::vector<dht::Contact> invented, real;
  for (std::size_t i = 0; i < ghosts; ++i) {
    const identity::Identity identity = swarm.draw_identity();
    invented.push_back({identity.peer_id(), {}, identity.public_key()});
  }
  for (const PeerIndex peer : honest) real.push_back(swarm.contact(peer));
  knowledge_->ghosts = SortedContacts(std::move(invented));
  knowledge_->honest = SortedContacts(std::move(real));
}

std::size_t Colluders::size() const { return knowledge_->members.size(); }
std::uint64_t Colluders::withheld() const { return knowledge_->withheld; }

Colluder::Colluder(std::shared_ptr<Colluders::Knowledge> knowledge, Collusion collusion,
                   const identity::Identity& self, const identity::Random::Seed& seed)
    : Speaker(self, knowledge->swarm_key, seed),
      knowledge_(std::move(knowledge)),
      collusion_(collusion) {}

wire::DhtMessage Colluder::heard(const Delivery& delivery, const wire::DhtMessage& message,
                                 dht::TimePoint) {
  if (message.has_ping()) return pong(delivery.from.endpoint);
  if (message.has_store()) {
    knowledge_->keep(message.store());
    return accept_all(message.store());
  }
  wire::DhtMessage reply;
  const auto target = dht::Key::from_bytes(message.find().target());
  if (!message.has_find() || !target) return reply;
  if (knowledge_->sorted.all().size() != knowledge_->members.size())
    knowledge_->sorted = SortedContacts(knowledge_->members);
  AnswerRoom room(delivery.room);
  wire::Found& found = *reply.mutable_found();
  const auto known = knowledge_->records.find(message.find().target());
  if (collusion_ != Collusion::kWithhold && message.find().want_records() &&
      known != knowledge_->records.end()) {
    for (const auto& [signer, version] : known->second) {
      // What is still the newest would help.
      if (!version.outdated) continue;
      if (!room.add(found, version.oldest, proto::kMaxRecordTtlMs)) break;
    }
    found.set_total_records(static_cast<std::uint32_t>(found.records_size()));
  }
  const bool invents = collusion_ == Collusion::kGhosts && !knowledge_->ghosts.all().empty();
  for (const dht::Contact& contact :
       invents ? knowledge_->ghosts_at(*target) : knowledge_->sorted.closest(*target, kContacts)) {
    if (!room.add(found, contact)) break;
  }
  return reply;
}

}  // namespace shoal::sim
