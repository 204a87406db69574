// SPDX-License-Identifier: Apache-2.0
// Replicas: publishing our own record, and handing records over to peers that should hold them.
#include <algorithm>

#include "dht/kademlia.h"
#include "kernels/check.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

// What has less time left than this is not worth handing over.
constexpr std::uint32_t kMinHandoverTtlMs = 2'000;

wire::DhtMessage store_message(const wire::SignedRecord& record, const Key& key,
                               std::uint32_t remaining_ttl_ms) {
  wire::DhtMessage message;
  wire::Store& store = *message.mutable_store();
  store.add_keys(key.to_bytes());
  *store.mutable_record() = record;
  store.set_remaining_ttl_ms(remaining_ttl_ms);
  return message;
}

}  // namespace

// One call of publish(): lookups for its keys, then one store per chosen peer. A peer that holds
// the record answers for all its keys, so it is asked once even when it was chosen for several.
struct Kademlia::Publish {
  enum class Outcome { kOpen, kAccepted, kRefused };
  OperationId id = 0;
  wire::SignedRecord record;
  std::uint32_t ttl_ms = 0;
  std::vector<Key> keys;
  std::vector<std::vector<std::size_t>> groups;  // of key indexes: one lookup each
  std::size_t next_group = 0;
  std::size_t open_lookups = 0;
  std::map<proto::PeerId, Outcome> stores;
  std::vector<std::set<proto::PeerId>> peers_of_key;
};

OperationId Kademlia::publish(const wire::SignedRecord& record, std::vector<Key> keys,
                              TimePoint now) {
  const auto publish = std::make_shared<Publish>();
  publish->id = next_operation_++;
  publish->record = record;
  CHECK(record.ByteSizeLong() <= proto::kMaxRecordBytes) << "not made by sign_record()";
  if (const auto decoded = decode_record(record); decoded.ok()) publish->ttl_ms = decoded->ttl_ms;
  publish->keys = std::move(keys);
  publish->peers_of_key.resize(publish->keys.size());
  store_.put(record, {self_.peer_id(), {}}, publish->keys, publish->ttl_ms, now);
  if (table_.size() <= config_.routing.k) {
    // Everybody holds everything: one exhaustive lookup serves all keys.
    publish->groups.emplace_back();
    for (std::size_t i = 0; i < publish->keys.size(); ++i) publish->groups.back().push_back(i);
    if (publish->keys.empty()) publish->groups.clear();
  } else {
    for (std::size_t i = 0; i < publish->keys.size(); ++i) publish->groups.push_back({i});
  }
  publishes_[publish->id] = publish;
  continue_publish(publish, now);
  settle(now);
  return publish->id;
}

void Kademlia::continue_publish(const std::shared_ptr<Publish>& publish, TimePoint now) {
  while (publish->next_group < publish->groups.size() &&
         publish->open_lookups < config_.max_publish_lookups) {
    const std::vector<std::size_t>& group = publish->groups[publish->next_group++];
    const bool exhaustive = group.size() > 1 || table_.size() <= config_.routing.k;
    Operation& operation =
        start(Operation::Kind::kPublish, publish->keys[group.front()], exhaustive, now);
    operation.publish = publish;
    operation.key_indexes = group;
    ++publish->open_lookups;
  }
  const bool open =
      std::any_of(publish->stores.begin(), publish->stores.end(),
                  [](const auto& store) { return store.second == Publish::Outcome::kOpen; });
  if (publish->open_lookups > 0 || open || !publishes_.contains(publish->id)) return;
  int least = publish->keys.empty() ? 0 : static_cast<int>(config_.lookup.k);
  for (const auto& peers : publish->peers_of_key) {
    const auto accepted = std::count_if(peers.begin(), peers.end(), [&](const proto::PeerId& peer) {
      return publish->stores.at(peer) == Publish::Outcome::kAccepted;
    });
    least = std::min(least, static_cast<int>(accepted));
  }
  publishes_.erase(publish->id);
  Event done;
  done.kind = Event::Kind::kPublishDone;
  done.id = publish->id;
  done.replicas = least;
  emit(std::move(done));
}

void Kademlia::store_at(const std::shared_ptr<Publish>& publish,
                        const std::vector<std::size_t>& key_indexes,
                        const std::vector<Contact>& peers, TimePoint now) {
  --publish->open_lookups;
  for (const Contact& peer : peers) {
    for (const std::size_t index : key_indexes) publish->peers_of_key[index].insert(peer.peer);
    if (publish->stores.contains(peer.peer)) continue;
    const bool sent = request(
        peer, store_message(publish->record, publish->keys[key_indexes.front()], publish->ttl_ms),
        {Purpose::Kind::kStore, publish->id}, 2, now);
    publish->stores[peer.peer] = sent ? Publish::Outcome::kOpen : Publish::Outcome::kRefused;
  }
  continue_publish(publish, now);
}

void Kademlia::on_stored(OperationId publish_id, const proto::PeerId& peer, bool accepted,
                         TimePoint now) {
  const auto it = publishes_.find(publish_id);
  if (it == publishes_.end()) return;
  const std::shared_ptr<Publish> publish = it->second;
  const auto store = publish->stores.find(peer);
  if (store == publish->stores.end() || store->second != Publish::Outcome::kOpen) return;
  store->second = accepted ? Publish::Outcome::kAccepted : Publish::Outcome::kRefused;
  continue_publish(publish, now);
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
  const std::size_t rank = config_.handover_rank;
  const bool near = table_.count_closer(newcomer, self, to.peer, rank) < rank;
  for (const proto::PeerId& subject : store_.subjects()) {
    if (subject == to.peer || handovers_.size() >= config_.max_handovers) continue;
    const RecordStore::Entry& entry = *store_.get(subject);
    const bool own = subject == self_.peer_id();
    bool wanted = own || near;
    if (!small) {
      const std::vector<Key> keys = store_.keys(entry);
      wanted = std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
        return table_.count_closer(key, newcomer, to.peer, config_.replicas) < config_.replicas &&
               (own || table_.count_closer(key, self, to.peer, rank) < rank);
      });
    }
    if (wanted) handovers_.push_back({to, subject});
  }
}

void Kademlia::pump_handovers(TimePoint now) {
  while (!handovers_.empty() && handovers_in_flight_ < config_.max_handovers_in_flight) {
    const HandoverJob job = handovers_.front();
    handovers_.pop_front();
    const RecordStore::Entry* entry = store_.get(job.subject);
    if (entry == nullptr || table_.find(job.to.peer) == nullptr) continue;
    const std::uint32_t remaining = entry->remaining_ttl_ms(now);
    if (remaining < kMinHandoverTtlMs) continue;
    if (request(job.to, store_message(entry->message, model_key(swarm_, entry->model), remaining),
                {Purpose::Kind::kHandover}, 2, now)) {
      ++handovers_in_flight_;
    }
  }
}

}  // namespace shoal::dht
