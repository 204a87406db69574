// SPDX-License-Identifier: Apache-2.0
// What we ask of others: lookups, and the records they bring.
#include <algorithm>

#include "dht/address.h"
#include "dht/kademlia.h"

namespace shoal::dht {

OperationId Kademlia::find(const Key& key, TimePoint now) {
  Operation& operation = start(Operation::Kind::kFind, key, false, now);
  const OperationId id = operation.id;
  settle(now);
  return id;
}

Kademlia::Operation& Kademlia::start(Operation::Kind kind, const Key& target, bool exhaustive,
                                     TimePoint now) {
  const OperationId id = next_operation_++;
  Operation& operation = operations_[id];
  operation.id = id;
  operation.kind = kind;
  operation.want_records = kind == Operation::Kind::kFind;
  LookupPlan plan;
  plan.diversity = config_.routing.diversity;
  if (kind == Operation::Kind::kFind) plan.goal = LookupPlan::Goal::kRecords;
  if (exhaustive || kind == Operation::Kind::kPublish) plan.goal = LookupPlan::Goal::kEverybody;
  operation.lookup.emplace(target, self_.peer_id(), config_.lookup, plan);
  if (waiting_.size() < config_.max_waiting) {
    waiting_.push_back(id);  // settle() starts it, in order
  } else {
    refused_.push_back(id);  // settle() ends it
  }
  return operation;
}

void Kademlia::activate(OperationId id, TimePoint now) {
  Operation& operation = operations_.at(id);
  ++active_;
  for (const RoutingTable::Entry* entry :
       table_.closest(operation.lookup->target(), config_.lookup.k)) {
    operation.lookup->add(entry->contact, entry->suspect);
  }
  if (operation.want_records) {
    for (const RecordStore::Entry* entry : store_.find(operation.lookup->target(), now)) {
      if (absl::StatusOr<Record> record = decode_record(entry->message); record.ok()) {
        operation.found[entry->subject] = {entry->message, *std::move(record)};
      }
    }
  }
  advance(id, now);
}

wire::DhtMessage Kademlia::find_message(const Key& target, bool want_records,
                                        std::uint32_t cursor) const {
  wire::DhtMessage message;
  wire::Find& find = *message.mutable_find();
  find.set_target(target.to_bytes());
  find.set_want_records(want_records);
  find.set_cursor(cursor);
  return message;
}

void Kademlia::advance(OperationId id, TimePoint now) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  Operation& operation = it->second;
  while (const auto contact = operation.lookup->next()) {
    const bool repeat = operation.lookup->repeats(contact->peer);
    if (!request(*contact, find_message(operation.lookup->target(), operation.want_records, 0),
                 {Purpose::Kind::kLookup, id, 0, repeat}, 0, now)) {
      operation.lookup->on_failure(contact->peer);
    }
  }
  // With records at hand a find need not hope for late answers when everybody else seems gone.
  const bool enough = !operation.found.empty() && operation.lookup->exhausted();
  if ((operation.lookup->finished() || enough) && operation.open_pages.empty()) finish(id, now);
}

void Kademlia::on_answer(const Contact& from, const wire::DhtMessage& message, TimePoint now) {
  const auto request = requests_.take(message.request_id(), from, now);
  if (!request) return drops_.add(Drop::kUnasked);  // too late, or never asked
  table_.heard(from, true, now);
  greet_newcomer(from, now);
  const OperationId id = request->purpose.operation;
  switch (request->purpose.kind) {
    case Purpose::Kind::kPing:
    case Purpose::Kind::kIntroduction:
      return;
    case Purpose::Kind::kBootstrap:
      if (message.has_found()) on_bootstrap_answer(id, from, message.found(), now);
      return;
    case Purpose::Kind::kLookup: {
      const auto operation = operations_.find(id);
      if (operation == operations_.end()) return;
      if (message.has_found()) {
        operation->second.lookup->on_answer(from, message.found().records_size() > 0);
        ++operation->second.answers;
        on_found(from, operation->second, message.found(), 0, now);
      } else {
        operation->second.lookup->on_failure(from.peer);
      }
      return advance(id, now);
    }
    case Purpose::Kind::kPage: {
      const auto operation = operations_.find(id);
      if (operation == operations_.end()) return;
      operation->second.open_pages.erase(from.peer);
      if (message.has_found())
        on_found(from, operation->second, message.found(), request->purpose.cursor, now);
      return advance(id, now);
    }
    case Purpose::Kind::kStore: {
      const wire::Stored& stored = message.stored();
      return on_stored(id, from.peer, stored.accepted_size() > 0 && stored.accepted(0), now);
    }
    case Purpose::Kind::kHandover:
      --handovers_in_flight_;
      return;
  }
}

void Kademlia::on_found(const Contact& from, Operation& operation, const wire::Found& found,
                        std::uint32_t cursor, TimePoint now) {
  const auto limit = static_cast<int>(config_.lookup.k);
  for (int i = 0; i < std::min(found.closer_size(), limit); ++i) {
    const auto key = PublicKey::from_bytes(found.closer(i).public_key());
    const auto endpoint = decode_address(found.closer(i).address());
    if (!key || !endpoint) continue;
    const Contact contact{peer_id_of(*key), *endpoint, *key};
    const RoutingTable::Entry* known = table_.find(contact.peer);
    operation.lookup->add(contact, from.peer, known != nullptr && known->suspect);
  }
  if (!operation.want_records) return;
  for (const wire::StoredRecord& stored : found.records()) merge(operation, stored);
  if (found.next_cursor() <= cursor || found.records().empty())
    return;  // the last page, or one that leads nowhere
  if (cursor == 0 && ++operation.paged_peers > config_.max_paging_peers) return;
  if (operation.found.size() >= config_.max_found_records) return;
  if (request(from, find_message(operation.lookup->target(), true, found.next_cursor()),
              {Purpose::Kind::kPage, operation.id, found.next_cursor()}, 2, now)) {
    operation.open_pages.insert(from.peer);
  }
}

void Kademlia::merge(Operation& operation, const wire::StoredRecord& stored) {
  if (stored.remaining_ttl_ms() == 0 || operation.found.size() >= config_.max_found_records) return;
  // Replicas mostly send the same bytes: verify each once.
  wire::Record peek;
  if (!peek.ParseFromString(stored.record().payload())) return;
  const auto key = PublicKey::from_bytes(peek.public_key());
  if (!key) return;
  const proto::PeerId subject = peer_id_of(*key);
  const auto known = operation.found.find(subject);
  if (known != operation.found.end() && known->second.second.sequence >= peek.sequence()) return;
  absl::StatusOr<Record> record = verify_record(stored.record());
  if (!record.ok()) {
    drops_.add(Drop::kBody);
    return;
  }
  operation.found[subject] = {stored.record(), *std::move(record)};
}

void Kademlia::finish(OperationId id, TimePoint now) {
  const auto it = operations_.find(id);
  Operation operation = std::move(it->second);
  operations_.erase(it);
  --active_;
  switch (operation.kind) {
    case Operation::Kind::kRefresh:
      if (operation.lookup->target() == key_of(self_.peer_id())) introduce(*operation.lookup, now);
      return;
    case Operation::Kind::kJoin: {
      introduce(*operation.lookup, now);
      const auto join = joins_.find(id);
      if (join == joins_.end()) return;
      const OperationId bootstrap = join->second;
      joins_.erase(join);
      return finish_bootstrap(bootstrap, true);
    }
    case Operation::Kind::kFind: {
      Event done;
      done.kind = Event::Kind::kFindDone;
      done.id = id;
      done.answered = operation.answers;
      for (auto& [subject, found] : operation.found) {
        if (found.second.state == proto::NodeState::kOffline) continue;
        if (proves(swarm_, found.second, operation.lookup->target()))
          done.records.push_back(std::move(found.second));
      }
      return emit(std::move(done));
    }
    case Operation::Kind::kPublish: {
      const bool small = table_.size() <= config_.routing.k;
      const std::size_t count = small ? config_.lookup.k : config_.replicas;
      return store_at(operation.publish, operation.key_indexes, operation.lookup->answered(count),
                      now);
    }
  }
}

}  // namespace shoal::dht
