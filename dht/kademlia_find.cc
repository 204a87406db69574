// SPDX-License-Identifier: Apache-2.0
// Finds: reading the records of a key, doubting the answers, and mending what is missing.
#include <algorithm>

#include "dht/kademlia.h"

namespace shoal::dht {
namespace {

// Candidates from our table with which the other paths begin when a find goes on securely: the
// closest were asked in vain.
constexpr std::size_t kFreshCandidates = 80;
// Event::three_replicas.
constexpr std::size_t kReplicasTold = 3;
// In smaller swarms chance crowds ids too often.
constexpr double kMinCrowdSwarm = 200;
// Our own neighbourhood alone misjudges the swarm by a fifth, seldom by a half.
constexpr double kEstimateSlack = 1.5;

double milliseconds_of(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

OperationId Kademlia::find(const Key& key, TimePoint now, bool secure) {
  LookupPlan plan;
  plan.goal = LookupPlan::Goal::kRecords;
  if (secure && !table_.small()) {
    plan.goal = LookupPlan::Goal::kEverybody;
    plan.secure = true;
    plan.radius = region_to_read(now);
  }
  Operation& operation = start(Operation::Kind::kFind, key, plan, now);
  operation.find.emplace(FindResults(swarm_, key, config_.max_found_records), plan.secure);
  operation.find->order = random_.next();
  const OperationId id = operation.id;
  settle(now);
  return id;
}

wire::DhtMessage Kademlia::find_message(const Key& target, bool want_records, std::uint32_t cursor,
                                        std::uint64_t order) const {
  wire::DhtMessage message;
  wire::Find& find = *message.mutable_find();
  find.set_target(target.to_bytes());
  find.set_want_records(want_records);
  find.set_cursor(cursor);
  find.set_order(order);
  return message;
}

// Whether the answer brought a record that counts.
bool Kademlia::read_records(const Contact& from, Operation& operation, const wire::Found& found,
                            std::uint32_t cursor, TimePoint now) {
  Find& find = *operation.find;
  const FindResults::Page page = find.results.add(from, found, now);
  for (std::size_t i = 0; i < page.invalid; ++i) drops_.add(Drop::kBody);
  if (cursor == 0 && page.records > 0) {
    ++find.replicas;
    const Duration taken = now - operation.started;
    if (!find.first_record) {
      find.first_record = taken;
      find.hops = operation.lookup->hops(from.peer);
    }
    if (find.replicas == kReplicasTold) find.three_replicas = taken;
  }
  if (cursor != 0) {
    // A peer that shows the same again leads us on.
    if (page.fresh > 0) read_on(operation, from.peer, cursor, found.next_cursor(), now);
  } else if (found.next_cursor() > 0 && found.records_size() > 0) {
    Find::Reading& reading = find.readings[from.peer];
    reading = {from, found.next_cursor(), found.total_records(), {}, false};
    // Whoever has most so far is read at once, the others only when they turn out to matter.
    if (find.early < config_.max_early_readings && reading.total >= find.most) {
      ++find.early;
      read_all(operation, from.peer, now);
    }
    find.most = std::max(find.most, reading.total);
  }
  return page.records > 0;
}

// Asks for the further pages of a peer, several chains at once: how many records fit into one is
// guessed, and read_on() closes the gaps.
void Kademlia::read_all(Operation& operation, const proto::PeerId& peer, TimePoint now) {
  const auto it = operation.find->readings.find(peer);
  if (it == operation.find->readings.end() || it->second.begun) return;
  Find::Reading& reading = it->second;
  reading.begun = true;
  const std::uint32_t rest = reading.total > reading.next ? reading.total - reading.next : 1;
  const auto chains = static_cast<std::uint32_t>(config_.max_parallel_pages);
  const std::uint32_t stride = std::max(config_.page_records, (rest + chains - 1) / chains);
  for (std::uint32_t begin = 0; begin < rest; begin += stride)
    read_on(operation, peer, reading.next + begin - 1, reading.next + begin, now);
}

// The page from `cursor` on showed everything before `next`: asks on from there, unless that was
// the last page (next 0) or another chain of pages begins by then.
void Kademlia::read_on(Operation& operation, const proto::PeerId& peer, std::uint32_t cursor,
                       std::uint32_t next, TimePoint now) {
  Find& find = *operation.find;
  const auto it = find.readings.find(peer);
  if (it == find.readings.end() || next <= cursor) return;
  std::set<std::uint32_t>& asked = it->second.asked;
  const auto chain = asked.upper_bound(cursor);
  if (chain != asked.end() && *chain <= next) return;
  if (find.pages >= config_.max_pages || find.results.full()) return;
  asked.insert(next);
  const Purpose purpose{Purpose::Kind::kPage, operation.id, next};
  if (!request(it->second.peer, find_message(operation.lookup->target(), true, next, find.order),
               purpose, 2, now)) {
    return;
  }
  count_request(purpose);
  ++find.pages;
  ++find.open_pages;
}

// The closest replicas are read to the end, since each may know a newer version of what another
// showed; beyond them, those that say they have more than was found. True while that goes on.
bool Kademlia::read_rest(Operation& operation, TimePoint now) {
  Find& find = *operation.find;
  bool more = false;
  std::size_t replicas = 0;
  for (const Contact& peer : operation.lookup->answered(config_.lookup.k)) {
    const std::size_t total = find.results.total_of(peer.peer);
    if (total == 0) continue;
    if (++replicas > config_.lookup.beta && total <= find.results.size()) continue;
    if (find.results.has_shown_all(peer.peer)) continue;
    read_all(operation, peer.peer, now);
    more = true;
  }
  return more && find.open_pages > 0;
}

// The lookup has asked enough. Whether the find should believe it, or ask others too.
bool Kademlia::go_on(Operation& operation, TimePoint now) {
  if (!operation.find) return false;
  Find& find = *operation.find;
  Lookup& lookup = *operation.lookup;
  if (find.secured || table_.small()) return false;
  const double peers = swarm_size(now);
  const bool crowded =
      peers > kMinCrowdSwarm &&
      is_crowded(lookup.nearest(config_.lookup.k), kEstimateSlack * peers, config_.crowd_chance);
  // Nobody has any, or those who were asked keep it back; or they sit there to be asked. Others
  // lead to the key, too.
  if (find.results.empty() || crowded) {
    find.secured = true;
    lookup.secure(region_to_read(now));
    for (const RoutingTable::Entry* entry : table_.closest(lookup.target(), kFreshCandidates))
      lookup.add(entry->contact, entry->suspect);
    return true;
  }
  if (find.widened || !find.results.disagree(lookup.answered(config_.lookup.beta), now))
    return false;
  find.widened = true;
  lookup.widen(region_to_read(now));
  return true;
}

// Peers that should have a record and do not get it from whoever reads it.
void Kademlia::repair(const Operation& operation, TimePoint now) {
  const std::vector<Contact> replicas = operation.lookup->answered(config_.replicas);
  for (const FindResults::Lack& lack :
       operation.find->results.lacks(replicas, config_.max_read_repairs, now)) {
    const absl::StatusOr<Record> record = decode_record(lack.record);
    if (lack.remaining_ttl_ms < config_.min_handover_ttl_ms || !record.ok()) continue;
    if (request(lack.peer,
                store_message(lack.record, model_key(swarm_, record->offer.model_digest),
                              lack.remaining_ttl_ms),
                {Purpose::Kind::kHandover}, 2, now)) {
      ++handovers_in_flight_;
      ++measurements_.read_repairs;
    }
  }
}

void Kademlia::finish_find(Operation& operation, TimePoint now) {
  Find& find = *operation.find;
  repair(operation, now);
  ++measurements_.finds;
  measurements_.finds_found += find.results.any_live();
  measurements_.finds_wide += find.widened;
  measurements_.finds_secure += find.secured;
  measurements_.find_ms.add(milliseconds_of(now - operation.started));
  measurements_.find_requests.add(static_cast<double>(operation.requests));
  if (find.first_record) {
    measurements_.first_record_ms.add(milliseconds_of(*find.first_record));
    measurements_.hops.add(find.hops);
    measurements_.replicas_found.add(static_cast<double>(find.replicas));
  }
  for (const double age : find.results.ages_s(now)) measurements_.record_age_s.add(age);
  Event done;
  done.kind = Event::Kind::kFindDone;
  done.id = operation.id;
  done.records = find.results.take();
  done.ok = !done.records.empty();
  done.answered = operation.answers;
  done.took = now - operation.started;
  done.first_record = find.first_record;
  done.three_replicas = find.three_replicas;
  done.requests = operation.requests;
  done.hops = find.hops;
  emit(std::move(done));
}

}  // namespace shoal::dht
