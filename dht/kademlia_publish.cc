// SPDX-License-Identifier: Apache-2.0
// Publishing our own record: to the whole region of each key, and again to whoever took it before.
#include <algorithm>

#include "base/check.h"
#include "dht/diversity.h"
#include "dht/kademlia.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

// Answered candidates beyond the region that stand by for stores that fail.
constexpr std::size_t kSpares = 32;

}  // namespace

// One call of publish(): per key a lookup, or stores straight to those who held it last time, or
// both; a store goes out as soon as a peer of the region has answered. A peer that holds the record
// answers for all its keys, so it is asked once even when it was chosen for several. The event
// comes when all keys have enough replicas; what was begun goes on to its end.
struct Kademlia::Publish {
  using Outcome = StoreOutcome;
  struct Store {
    Contact peer;
    Outcome outcome = Outcome::kOpen;
    int silent = 0;                 // publishes before this one, in a row: nobody counts on it
    std::vector<std::size_t> keys;  // by index
  };
  struct Target {
    Key key;
    std::size_t accepted = 0, open = 0, refused = 0;  // refused, or silent since this publish
    std::vector<Contact> spares;                      // closest last
    bool looked_up = false;                           // or will be
    bool heard = false;                               // the lookup ended
    int periods = 0;
  };
  OperationId id = 0;
  TimePoint started;
  wire::SignedRecord record;
  std::uint32_t ttl_ms = 0;
  bool everybody = false;  // done only when nobody is left to store at
  bool reported = false;
  std::vector<Target> targets;
  std::vector<std::vector<std::size_t>> groups;  // of indexes of targets: one lookup each
  std::size_t next_group = 0, open_lookups = 0, open_stores = 0;
  std::size_t requests = 0;
  std::map<proto::PeerId, Store> stores;

  void count(const Store& store, std::size_t index, int change) {
    Target& target = targets[index];
    if (store.outcome == Outcome::kAccepted) {
      target.accepted += static_cast<std::size_t>(change);
    } else if (store.silent == 0) {
      (store.outcome == Outcome::kOpen ? target.open : target.refused) +=
          static_cast<std::size_t>(change);
    }
  }
  void look_up(std::size_t index) {
    if (targets[index].looked_up) return;
    targets[index].looked_up = true;
    groups.push_back({index});
  }
  bool lookups_done() const { return next_group == groups.size() && open_lookups == 0; }
  std::size_t least() const {
    std::size_t result = targets.empty() ? 0 : targets.front().accepted;
    for (const Target& target : targets) result = std::min(result, target.accepted);
    return result;
  }
};

OperationId Kademlia::publish(const wire::SignedRecord& record, std::vector<Key> keys,
                              TimePoint now) {
  const auto publish = std::make_shared<Publish>();
  publish->id = next_operation_++;
  publish->started = now;
  publish->record = record;
  CHECK(record.ByteSizeLong() <= proto::kMaxRecordBytes) << "not made by sign_record()";
  bool withdrawn = false;
  if (const auto decoded = decode_record(record); decoded.ok()) {
    withdrawn = decoded->load.state == proto::NodeState::kOffline;
    publish->ttl_ms = withdrawn ? proto::kMaxRecordTtlMs : decoded->ttl_ms;
  }
  store_.put(record, {self_.peer_id(), {}}, keys, publish->ttl_ms, now);
  for (const Key& key : keys) publish->targets.push_back({key, 0, 0, 0, {}, false, false, 0});
  const bool small = table_.small();
  // A withdrawal must reach every replica, since nobody says it again.
  publish->everybody = small || withdrawn;
  publishes_[publish->id] = publish;
  if (small) {
    // Everybody holds everything: one lookup serves all keys.
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      all.push_back(i);
      publish->targets[i].looked_up = true;
    }
    // Whom we know gets it at once, whether or not it is quick enough for the lookup.
    std::vector<Contact> known;
    for (const RoutingTable::Entry* entry :
         table_.closest({}, config_.routing.k, RoutingTable::Which::kTellable))
      known.push_back(entry->contact);
    for (const Contact& peer : known) {
      if (!all.empty()) store_at(publish, peer, all, now);
    }
    if (!all.empty()) publish->groups.push_back(std::move(all));
  } else {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto known = holders_.find(keys[i]);
      const bool usable = known != holders_.end() && now - known->second.at < config_.holders_ttl;
      if (usable) {
        for (const Holder& holder : known->second.peers)
          store_at(publish, holder.peer, {i}, now, holder.silent);
        store_at_neighbours(publish, i, known->second, now);
        publish->targets[i].periods = known->second.periods + 1;
      }
      if (!usable || withdrawn || publish->targets[i].periods >= config_.lookup_period)
        publish->look_up(i);
    }
  }
  continue_publish(publish, now);
  settle(now);
  return publish->id;
}

// Who has come into the region since the last lookup, as far as our table knows: newcomers, and the
// other side of a cut that healed.
void Kademlia::store_at_neighbours(const std::shared_ptr<Publish>& publish, std::size_t index,
                                   const Holders& holders, TimePoint now) {
  const Key& key = publish->targets[index].key;
  const std::optional<Key> radius = region(now);
  std::set<proto::PeerId> known;
  NearLimit limit(config_.routing.diversity);
  for (const Holder& holder : holders.peers) {
    known.insert(holder.peer.peer);
    limit.admit(holder.peer.endpoint);
  }
  std::vector<Contact> others;
  for (const RoutingTable::Entry* entry :
       table_.closest(key, config_.lookup.k, RoutingTable::Which::kTellable)) {
    const Contact& peer = entry->contact;
    if (radius && distance(key, key_of(peer.peer)) > *radius) break;
    if (!known.contains(peer.peer) && limit.admit(peer.endpoint)) others.push_back(peer);
  }
  for (const Contact& peer : others) store_at(publish, peer, {index}, now);
}

// Starts what may start, makes good for stores that failed, and reports when there are enough.
void Kademlia::continue_publish(const std::shared_ptr<Publish>& publish, TimePoint now) {
  if (!publishes_.contains(publish->id)) return;
  for (std::size_t i = 0; i < publish->targets.size(); ++i) {
    Publish::Target& target = publish->targets[i];
    // Too many of those who held it are gone: others are closest now.
    const std::size_t asked = target.accepted + target.open + target.refused;
    if (target.accepted + target.open < config_.replicas || 4 * target.refused > asked)
      publish->look_up(i);
    while (target.heard && target.accepted + target.open < config_.replicas &&
           !target.spares.empty()) {
      const Contact spare = target.spares.back();
      target.spares.pop_back();
      store_at(publish, spare, {i}, now);
    }
  }
  while (publish->next_group < publish->groups.size() &&
         publish->open_lookups < config_.max_publish_lookups) {
    const std::vector<std::size_t>& group = publish->groups[publish->next_group++];
    LookupPlan plan;
    plan.goal = LookupPlan::Goal::kEverybody;
    plan.radius = region(now);
    plan.secure = !table_.small();
    // Whoever has crept in among the closest leaves room for as many honest ones.
    plan.width = config_.lookup.k;
    Operation& operation =
        start(Operation::Kind::kPublish, publish->targets[group.front()].key, plan, now);
    operation.publish = publish;
    operation.key_indexes = group;
    ++publish->open_lookups;
  }
  const bool ended = publish->lookups_done() && publish->open_stores == 0;
  const bool enough = !publish->everybody && publish->least() >= config_.replicas;
  if (!publish->reported && (ended || enough)) {
    publish->reported = true;
    ++measurements_.publishes;
    measurements_.publishes_short += !publish->everybody && !enough;
    const Duration took = now - publish->started;
    measurements_.publish_ms.add(static_cast<double>(took.count()) / 1e6);
    measurements_.publish_requests.add(static_cast<double>(publish->requests));
    measurements_.replicas_made.add(static_cast<double>(publish->least()));
    Event done;
    done.kind = Event::Kind::kPublishDone;
    done.id = publish->id;
    done.ok = publish->least() > 0;
    done.replicas = static_cast<int>(publish->least());
    done.took = took;
    done.requests = publish->requests;
    emit(std::move(done));
  }
  if (!ended) return;
  remember_holders(*publish, now);
  publishes_.erase(publish->id);
}

// Whom the next publish goes to: who took this one, and who was silent; it may hold an older
// version. Those who were handed the record meanwhile stay known.
void Kademlia::remember_holders(const Publish& publish, TimePoint now) {
  for (const Publish::Target& target : publish.targets) {
    if (publish.everybody) holders_.erase(target.key);  // the next one finds them anew
    const bool full = holders_.size() >= config_.max_known_keys && !holders_.contains(target.key);
    if (publish.everybody || full) continue;
    Holders& holders = holders_[target.key];
    std::erase_if(holders.peers, [&](const Holder& holder) {
      return publish.stores.contains(holder.peer.peer) || now - holders.at >= config_.holders_ttl;
    });
    holders.periods = target.looked_up ? 0 : target.periods;
    holders.at = now;
  }
  for (const auto& [id, store] : publish.stores) {
    const int silent = store.outcome == StoreOutcome::kSilent ? store.silent + 1 : 0;
    if (store.outcome == StoreOutcome::kRefused || silent >= config_.max_silent) continue;
    for (const std::size_t index : store.keys) {
      const auto holders = holders_.find(publish.targets[index].key);
      if (holders != holders_.end() && holders->second.peers.size() < config_.max_known_holders)
        holders->second.peers.push_back({store.peer, silent});
    }
  }
}

void Kademlia::store_at(const std::shared_ptr<Publish>& publish, const Contact& peer,
                        const std::vector<std::size_t>& keys, TimePoint now, int silent) {
  const auto [it, is_new] = publish->stores.try_emplace(peer.peer);
  Publish::Store& store = it->second;
  if (is_new) {
    store.peer = peer;
    store.silent = silent;
    ++publish->requests;
    const Key& key = publish->targets[keys.front()].key;
    const bool sent = request(peer, store_message(publish->record, key, publish->ttl_ms),
                              {Purpose::Kind::kStore, publish->id}, 2, now);
    store.outcome = sent ? StoreOutcome::kOpen : StoreOutcome::kRefused;
    publish->open_stores += sent;
  }
  for (const std::size_t index : keys) {
    if (std::find(store.keys.begin(), store.keys.end(), index) != store.keys.end()) continue;
    store.keys.push_back(index);
    publish->count(store, index, 1);
  }
}

// Whoever belongs to the region gets the record at once: its answer has just proven both addresses.
void Kademlia::on_region_answer(const Contact& from, const Operation& operation, TimePoint now) {
  const std::shared_ptr<Publish> publish = operation.publish;
  const Lookup& lookup = *operation.lookup;
  const std::optional<Key>& radius = lookup.plan().radius;
  const bool inside = !radius || distance(lookup.target(), key_of(from.peer)) <= *radius;
  if (!inside || !lookup.is_neighbour(from.peer)) return;
  store_at(publish, from, operation.key_indexes, now);
}

void Kademlia::on_region_heard(const Operation& operation, TimePoint now) {
  const std::shared_ptr<Publish> publish = operation.publish;
  --publish->open_lookups;
  std::vector<Contact> spares;
  for (const Contact& peer : operation.lookup->answered(config_.lookup.k + kSpares)) {
    if (operation.lookup->is_neighbour(peer.peer)) {
      store_at(publish, peer, operation.key_indexes, now);
    } else {
      spares.push_back(peer);
    }
  }
  std::reverse(spares.begin(), spares.end());
  for (const std::size_t index : operation.key_indexes) {
    publish->targets[index].heard = true;
    publish->targets[index].spares = spares;
  }
  continue_publish(publish, now);
}

void Kademlia::on_stored(OperationId publish_id, const proto::PeerId& peer, StoreOutcome outcome,
                         TimePoint now) {
  const auto it = publishes_.find(publish_id);
  if (it == publishes_.end()) return;
  const std::shared_ptr<Publish> publish = it->second;
  const auto found = publish->stores.find(peer);
  if (found == publish->stores.end()) return;
  Publish::Store& store = found->second;
  const bool open = store.outcome == StoreOutcome::kOpen;
  // Late answers count.
  if (!open && (store.outcome != StoreOutcome::kSilent || outcome == StoreOutcome::kSilent)) return;
  publish->open_stores -= open;
  for (const std::size_t index : store.keys) publish->count(store, index, -1);
  store.outcome = outcome;
  for (const std::size_t index : store.keys) publish->count(store, index, 1);
  continue_publish(publish, now);
}

// Of a find or publish: one more datagram that carried a request.
void Kademlia::count_request(const Purpose& purpose) {
  if (const auto operation = operations_.find(purpose.operation); operation != operations_.end()) {
    ++operation->second.requests;
    if (operation->second.publish) ++operation->second.publish->requests;
  } else if (const auto publish = publishes_.find(purpose.operation); publish != publishes_.end()) {
    ++publish->second->requests;
  }
}

}  // namespace shoal::dht
