// SPDX-License-Identifier: Apache-2.0
// Handing records over to peers that should hold them.
#include <algorithm>

#include "dht/kademlia.h"

namespace shoal::dht {
wire::DhtMessage Kademlia::store_message(const wire::SignedRecord& record, const Key& key,
                                         std::uint32_t remaining_ttl_ms) {
  wire::DhtMessage message;
  wire::Store& store = *message.mutable_store();
  store.add_keys(key.to_bytes());
  *store.mutable_record() = record;
  store.set_remaining_ttl_ms(remaining_ttl_ms);
  return message;
}

void Kademlia::queue_handovers(const Contact& to, TimePoint now) {
  if (config_.client_mode) return;
  const Key self = key_of(self_.peer_id());
  const Key newcomer = key_of(to.peer);
  const bool small = table_.size() <= config_.routing.k;
  // Far away from us it holds none of our records.
  if (!small &&
      table_.count_closer(self, newcomer, to.peer, config_.routing.k) >= config_.routing.k)
    return;
  const std::optional<Key> radius = region(now);
  const std::size_t rank = config_.handover_rank;
  const bool near = table_.count_closer(newcomer, self, to.peer, rank) < rank;
  for (const proto::PeerId& subject : store_.subjects()) {
    if (subject == to.peer || handovers_.size() >= config_.max_handovers) continue;
    const RecordStore::Entry& entry = *store_.get(subject);
    const bool own = subject == self_.peer_id();
    bool wanted = own || near;
    if (!small) {
      const std::vector<Key> keys = store_.keys(entry);
      wanted = false;
      for (const Key& key : keys) {
        const bool inside = radius && distance(key, newcomer) <= *radius;
        if (!inside &&
            table_.count_closer(key, newcomer, to.peer, config_.replicas) >= config_.replicas)
          continue;
        if (!own && table_.count_closer(key, self, to.peer, rank) >= rank) continue;
        wanted = true;
        if (!own) break;
        add_holder(key, to);
      }
    }
    if (wanted) handovers_.push_back({to, subject});
  }
}

// It gets our record now, and the next version with the others.
void Kademlia::add_holder(const Key& key, const Contact& peer) {
  const auto known = holders_.find(key);
  if (known == holders_.end()) return;
  std::vector<Holder>& holders = known->second.peers;
  const bool holds = std::any_of(holders.begin(), holders.end(), [&](const Holder& holder) {
    return holder.peer.peer == peer.peer;
  });
  if (!holds && holders.size() < config_.max_known_holders) holders.push_back({peer, 0});
}

void Kademlia::pump_handovers(TimePoint now) {
  while (!handovers_.empty() && handovers_in_flight_ < config_.max_handovers_in_flight) {
    const HandoverJob job = handovers_.front();
    handovers_.pop_front();
    const RecordStore::Entry* entry = store_.get(job.subject);
    if (entry == nullptr || table_.find(job.to.peer) == nullptr) continue;
    const std::uint32_t remaining = entry->remaining_ttl_ms(now);
    if (remaining < config_.min_handover_ttl_ms) continue;
    if (request(job.to, store_message(entry->message, model_key(swarm_, entry->model), remaining),
                {Purpose::Kind::kHandover}, 2, now)) {
      ++handovers_in_flight_;
    }
  }
}

}  // namespace shoal::dht
