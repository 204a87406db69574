// SPDX-License-Identifier: Apache-2.0
// What we ask of others: lookups, from their start to their end.
#include <algorithm>

#include "dht/diversity.h"
#include "dht/kademlia.h"
#include "proto/endpoint.h"

namespace shoal::dht {

Kademlia::Operation& Kademlia::start(Operation::Kind kind, const Key& target, LookupPlan plan,
                                     TimePoint now) {
  const OperationId id = next_operation_++;
  Operation& operation = operations_[id];
  operation.id = id;
  operation.kind = kind;
  operation.started = now;
  plan.diversity = config_.routing.diversity;
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
  const Key& target = operation.lookup->target();
  for (const RoutingTable::Entry* entry : table_.closest(target, config_.lookup.k)) {
    operation.lookup->add(entry->contact, entry->suspect);
  }
  if (operation.find) {
    for (const RecordStore::Entry* entry : store_.find(target, now))
      operation.find->results.add_own(entry->message, entry->remaining_ttl_ms(now), now);
    if (operation.find->results.any_live()) operation.find->first_record = now - operation.started;
  }
  advance(id, now);
}

void Kademlia::advance(OperationId id, TimePoint now) {
  const auto it = operations_.find(id);
  if (it == operations_.end()) return;
  Operation& operation = it->second;
  Lookup& lookup = *operation.lookup;
  const std::uint64_t order = operation.find ? operation.find->order : 0;
  do {
    while (const auto contact = lookup.next()) {
      const Purpose purpose{Purpose::Kind::kLookup, id, 0, lookup.repeats(contact->peer)};
      count_request(purpose);
      if (!request(*contact, find_message(lookup.target(), operation.find.has_value(), 0, order),
                   purpose, 0, now)) {
        lookup.on_failure(contact->peer);
      }
    }
    // With records at hand a find need not hope for late answers when everybody else seems gone;
    // but whoever was silent once gets the time of an answer, since ours may be old.
    const bool tried =
        operation.answers > 0 || now - operation.started >= config_.requests.late_unknown;
    const bool enough =
        operation.find && !operation.find->results.empty() && lookup.exhausted() && tried;
    if (!lookup.finished() && !enough) return;
    if (operation.find && read_rest(operation, now)) return;
  } while (go_on(operation, now));
  finish(id, now);
}

void Kademlia::on_answer(const Contact& from, const wire::DhtMessage& message, TimePoint now) {
  const auto request = requests_.take(message.request_id(), from, now);
  if (!request) return drops_.add(Drop::kUnasked);  // too late, or never asked
  if (message.client_mode()) {                      // it lives, and others would not reach it
    table_.remove(from.peer, now);
  } else {
    table_.heard(from, true, now);
    greet_newcomer(from, now);
  }
  if (message.has_pong()) {
    const auto seen = proto::decode_endpoint(message.pong().observed_address());
    if (seen) observed_.add(from.peer, from.endpoint, *seen, now);
  }
  const OperationId id = request->purpose.operation;
  const auto it = operations_.find(id);
  Operation* operation = it == operations_.end() ? nullptr : &it->second;
  switch (request->purpose.kind) {
    case Purpose::Kind::kPing:
    case Purpose::Kind::kIntroduction:
    case Purpose::Kind::kDialPing:
      return;
    case Purpose::Kind::kDialBack:
      if (reachability_) reachability_->answered(id, message.dialed_back().accepted(), now);
      return;
    case Purpose::Kind::kDial:
      return on_dialed(id, message.dialed().accepted(), now);
    case Purpose::Kind::kBootstrap:
      if (message.has_found()) on_bootstrap_answer(id, from, message.found(), now);
      return;
    case Purpose::Kind::kLookup:
      if (operation == nullptr) return;
      if (message.has_found()) {
        ++operation->answers;
        const bool records =
            operation->find && read_records(from, *operation, message.found(), 0, now);
        operation->lookup->on_answer(from, records);
        add_contacts(from, *operation, message.found());
        if (operation->publish) on_region_answer(from, *operation, now);
      } else {
        operation->lookup->on_failure(from.peer);
      }
      return advance(id, now);
    case Purpose::Kind::kPage:
      if (operation == nullptr) return;
      --operation->find->open_pages;
      if (message.has_found())
        read_records(from, *operation, message.found(), request->purpose.cursor, now);
      return advance(id, now);
    case Purpose::Kind::kStore: {
      const wire::Stored& stored = message.stored();
      const bool accepted = stored.accepted_size() > 0 && stored.accepted(0);
      return on_stored(id, from.peer, accepted ? StoreOutcome::kAccepted : StoreOutcome::kRefused,
                       now);
    }
    case Purpose::Kind::kHandover:
      --handovers_in_flight_;
      return;
  }
}

void Kademlia::add_contacts(const Contact& from, Operation& operation, const wire::Found& found) {
  const auto limit = static_cast<int>(config_.lookup.k);
  for (int i = 0; i < std::min(found.closer_size(), limit); ++i) {
    const auto key = identity::PublicKey::from_bytes(found.closer(i).public_key());
    const auto endpoint = proto::decode_endpoint(found.closer(i).address());
    if (!key || !endpoint || !may_tell(from.endpoint, *endpoint)) continue;
    const Contact contact{identity::peer_id_of(*key), *endpoint, *key};
    const RoutingTable::Entry* known = table_.find(contact.peer);
    operation.lookup->add(contact, from.peer, known != nullptr && known->suspect);
  }
}

void Kademlia::finish(OperationId id, TimePoint now) {
  const auto it = operations_.find(id);
  Operation operation = std::move(it->second);
  operations_.erase(it);
  --active_;
  const Lookup& lookup = *operation.lookup;
  size_estimate_.add(lookup.target(), lookup.heard(), now);
  switch (operation.kind) {
    case Operation::Kind::kRefresh:
      if (lookup.target() == key_of(self_.peer_id())) introduce(lookup, now);
      return;
    case Operation::Kind::kJoin: {
      introduce(lookup, now);
      const auto join = joins_.find(id);
      if (join == joins_.end()) return;
      const OperationId bootstrap = join->second;
      joins_.erase(join);
      return finish_bootstrap(bootstrap, true);
    }
    case Operation::Kind::kFind:
      return finish_find(operation, now);
    case Operation::Kind::kPublish:
      return on_region_heard(operation, now);
  }
}

double Kademlia::swarm_size(TimePoint now) const {
  const double by_table = table_.estimated_peers();
  if (table_.small()) return by_table;
  return size_estimate_.peers(now).value_or(by_table);
}

std::optional<Key> Kademlia::region(TimePoint now) const {
  if (table_.small()) return std::nullopt;
  const double peers = swarm_size(now);
  return radius(peers, peers > config_.large_swarm ? config_.region_large : config_.region);
}

std::optional<Key> Kademlia::region_to_read(TimePoint now) const {
  if (table_.small()) return std::nullopt;
  return radius(swarm_size(now), config_.region);
}

}  // namespace shoal::dht
