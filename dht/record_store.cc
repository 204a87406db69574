// SPDX-License-Identifier: Apache-2.0
#include "dht/record_store.h"

#include <algorithm>
#include <cstring>

#include "dht/diversity.h"
#include "proto/limits.h"

namespace shoal::dht {

namespace {

// A place in an order that nobody knows who does not know the seed.
std::uint64_t shuffled(const proto::PeerId& subject, std::uint64_t seed) {
  std::uint64_t z = seed;
  for (std::size_t i = 0; i < subject.bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, subject.bytes.data() + i, sizeof(word));
    z = (z ^ word) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 32) * 0xd6e8feb86659fd93u;
    z ^= z >> 29;
  }
  return z;
}

}  // namespace

bool is_accepted(PutResult result) {
  return result == PutResult::kStored || result == PutResult::kRefreshed ||
         result == PutResult::kUnchanged;
}

std::string_view to_string(PutResult result) {
  switch (result) {
    case PutResult::kStored:
      return "stored";
    case PutResult::kRefreshed:
      return "refreshed";
    case PutResult::kUnchanged:
      return "unchanged";
    case PutResult::kStale:
      return "stale";
    case PutResult::kWrongKey:
      return "wrong key";
    case PutResult::kInvalid:
      return "invalid";
    case PutResult::kForged:
      return "forged";
    case PutResult::kFull:
      return "full";
  }
  return "unknown";
}

bool proves(const identity::SwarmId& swarm, const Record& record, const Key& key) {
  if (key == models_key(swarm) || key == model_key(swarm, record.offer.model_digest)) return true;
  const bool withdrawn = record.load.state == proto::NodeState::kOffline;
  const proto::BlockIndex begin = withdrawn ? 0 : record.offer.span.begin;
  const proto::BlockIndex end = withdrawn ? record.offer.block_count : record.offer.span.end;
  for (proto::BlockIndex block = begin; block < end; ++block) {
    if (key == block_key(swarm, record.offer.model_digest, block)) return true;
  }
  return false;
}

std::uint32_t RecordStore::Entry::remaining_ttl_ms(TimePoint now) const {
  if (now >= expires) return 0;
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<milliseconds>(expires - now).count());
}

RecordStore::RecordStore(const identity::SwarmId& swarm, const StoreConfig& config)
    : swarm_(swarm), config_(config), models_key_(models_key(swarm)) {}

PutResult RecordStore::put(const wire::SignedRecord& message, const Contact& sender,
                           std::span<const Key> keys, std::uint32_t remaining_ttl_ms,
                           TimePoint now) {
  if (message.payload().size() > proto::kMaxRecordBytes) return PutResult::kInvalid;
  // The cheap checks come before the signature: a stale or known record costs no curve arithmetic.
  wire::Record peek;
  if (!peek.ParseFromString(message.payload())) return PutResult::kInvalid;
  const auto public_key = identity::PublicKey::from_bytes(peek.public_key());
  if (!public_key) return PutResult::kInvalid;
  const proto::PeerId subject = identity::peer_id_of(*public_key);
  const bool owner = sender.peer == subject;
  const auto it = entries_.find(subject);
  const bool same = it != entries_.end() && it->second.message.payload() == message.payload() &&
                    it->second.message.signature() == message.signature();
  if (it != entries_.end() && !same && peek.sequence() <= it->second.sequence)
    return PutResult::kStale;
  if (it == entries_.end()) {
    const auto past = remembered_.find(subject);
    if (past != remembered_.end() && now < past->second.second) {
      if (peek.sequence() < past->second.first ||
          (!owner && peek.sequence() == past->second.first)) {
        return PutResult::kStale;
      }
    }
  }
  if (same && !owner) {
    // The index knows what the record proves: no need to derive its keys again, as proves() does.
    for (const Key& key : keys) {
      if (!answers_for(it->second, key)) return PutResult::kWrongKey;
    }
    return PutResult::kUnchanged;
  }

  absl::StatusOr<Record> record = verify_record(message);
  if (absl::IsUnauthenticated(record.status())) return PutResult::kForged;
  if (!record.ok()) return PutResult::kInvalid;
  for (const Key& key : keys) {
    if (!proves(swarm_, *record, key)) return PutResult::kWrongKey;
  }
  Entry entry;
  entry.message = message;
  entry.subject = subject;
  entry.model = record->offer.model_digest;
  entry.span = record->offer.span;
  entry.sequence = record->sequence;
  entry.withdrawn = record->load.state == proto::NodeState::kOffline;
  // A withdrawal outlives every replica of what it withdraws.
  const std::uint32_t longest = entry.withdrawn ? proto::kMaxRecordTtlMs : record->ttl_ms;
  // The owner, too, says how much is left: what it hands over to a newcomer is no new publish.
  const std::uint32_t ttl_ms = std::min(longest, remaining_ttl_ms);
  if (ttl_ms == 0) return PutResult::kStale;
  entry.expires = now + milliseconds(ttl_ms);
  if (same) entry.expires = std::max(entry.expires, it->second.expires);
  entry.source = source_of(sender.endpoint, owner);
  const bool known = it != entries_.end();
  // A replica says nothing new about who stands behind the record.
  if (known && !owner) entry.source = it->second.source;
  const bool moves = !known || it->second.model != entry.model;
  if (!known && !make_room(entry.source, now)) return PutResult::kFull;
  if (moves && !make_room_in_model(entry.source, entry.model, now)) return PutResult::kFull;
  if (!index_model(entry.model, entry.withdrawn ? record->offer.block_count : entry.span.end))
    return PutResult::kFull;
  if (known && moves) remove(subject);
  insert(std::move(entry));
  return same ? PutResult::kRefreshed : PutResult::kStored;
}

bool RecordStore::index_model(const proto::Digest& digest, std::uint32_t blocks) {
  const auto known = models_.find(digest);
  const std::size_t have = known == models_.end() ? 0 : known->second.block_keys.size();
  const std::size_t more = (known == models_.end() ? 1 : 0) + (blocks > have ? blocks - have : 0);
  if (index_.size() + more > config_.max_index_keys) return false;
  Model& model = models_[digest];
  if (known == models_.end()) index_[model_key(swarm_, digest)] = Target{digest, std::nullopt};
  for (std::size_t block = have; block < blocks; ++block) {
    const auto number = static_cast<proto::BlockIndex>(block);
    model.block_keys.push_back(block_key(swarm_, digest, number));
    index_[model.block_keys.back()] = Target{digest, number};
  }
  return true;
}

void RecordStore::insert(Entry entry) {
  ++changes_;
  const proto::PeerId subject = entry.subject;
  const auto old = entries_.find(subject);
  if (old != entries_.end()) {
    expiries_.erase({old->second.expires, subject});
    by_source_.erase({old->second.source, old->second.expires, subject});
    count(old->second.source, -1);
  }
  models_.at(entry.model).subjects.insert(subject);
  expiries_.insert({entry.expires, subject});
  by_source_.insert({entry.source, entry.expires, subject});
  count(entry.source, 1);
  entries_[subject] = std::move(entry);
}

void RecordStore::remove(proto::PeerId subject) {
  const auto it = entries_.find(subject);
  if (it == entries_.end()) return;
  ++changes_;
  const proto::Digest digest = it->second.model;
  expiries_.erase({it->second.expires, subject});
  by_source_.erase({it->second.source, it->second.expires, subject});
  count(it->second.source, -1);
  entries_.erase(it);
  const auto model = models_.find(digest);
  model->second.subjects.erase(subject);
  if (!model->second.subjects.empty()) return;
  for (const Key& key : model->second.block_keys) index_.erase(key);
  index_.erase(model_key(swarm_, digest));
  models_.erase(model);
}

std::vector<const RecordStore::Entry*> RecordStore::find(const Key& key, TimePoint now) const {
  std::vector<const Entry*> result;
  const auto add = [&](const Entry& entry) {
    if (now < entry.expires) result.push_back(&entry);
  };
  if (key == models_key_) {
    for (const auto& [subject, entry] : entries_) add(entry);
    return result;
  }
  const auto target = index_.find(key);
  if (target == index_.end()) return result;
  for (const proto::PeerId& subject : models_.at(target->second.model).subjects) {
    const Entry& entry = entries_.at(subject);
    if (is_hit(entry, target->second)) add(entry);
  }
  return result;
}

bool RecordStore::is_hit(const Entry& entry, const Target& target) {
  return !target.block || entry.withdrawn || entry.span.contains(*target.block);
}

bool RecordStore::answers_for(const Entry& entry, const Key& key) const {
  if (key == models_key_) return true;
  const auto target = index_.find(key);
  return target != index_.end() && target->second.model == entry.model &&
         is_hit(entry, target->second);
}

RecordStore::Page RecordStore::page(const Key& key, std::uint64_t seed, std::size_t cursor,
                                    std::size_t count, TimePoint now) const {
  std::vector<std::pair<std::uint64_t, const Entry*>> all;
  for (const Entry* entry : find(key, now)) all.emplace_back(shuffled(entry->subject, seed), entry);
  Page page;
  page.total = all.size();
  const std::size_t begin = std::min(cursor, all.size());
  const std::size_t end = begin + std::min(count, all.size() - begin);
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto last = all.begin() + static_cast<std::ptrdiff_t>(end);
  const auto before = [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second->subject) < std::tie(b.first, b.second->subject);
  };
  if (first != all.end()) std::nth_element(all.begin(), first, all.end(), before);
  if (last != all.end()) std::nth_element(first, last, all.end(), before);
  std::sort(first, last, before);
  for (auto it = first; it != last; ++it) page.entries.push_back(it->second);
  return page;
}

const RecordStore::Entry* RecordStore::get(const proto::PeerId& subject) const {
  const auto it = entries_.find(subject);
  return it == entries_.end() ? nullptr : &it->second;
}

std::vector<proto::PeerId> RecordStore::subjects() const {
  std::vector<proto::PeerId> result;
  for (const auto& [subject, entry] : entries_) result.push_back(subject);
  return result;
}

std::vector<Key> RecordStore::keys(const Entry& entry) const {
  std::vector<Key> result = {models_key_, model_key(swarm_, entry.model)};
  const Model& model = models_.at(entry.model);
  for (proto::BlockIndex block = entry.span.begin;
       block < entry.span.end && block < model.block_keys.size(); ++block) {
    result.push_back(model.block_keys[block]);
  }
  return result;
}

void RecordStore::remember(const Entry& entry, TimePoint now) {
  const auto old = remembered_.find(entry.subject);
  if (old != remembered_.end()) {
    remembered_order_.erase({old->second.second, entry.subject});
  } else if (remembered_.size() >= config_.max_remembered) {
    remembered_.erase(remembered_order_.begin()->second);
    remembered_order_.erase(remembered_order_.begin());
  }
  const TimePoint until = now + config_.remember;
  remembered_[entry.subject] = {entry.sequence, until};
  remembered_order_.insert({until, entry.subject});
}

void RecordStore::expire(TimePoint now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const proto::PeerId subject = expiries_.begin()->second;
    remember(entries_.at(subject), now);
    remove(subject);
  }
  while (!remembered_order_.empty() && remembered_order_.begin()->first <= now) {
    remembered_.erase(remembered_order_.begin()->second);
    remembered_order_.erase(remembered_order_.begin());
  }
}

std::optional<TimePoint> RecordStore::next_expiry() const {
  if (expiries_.empty()) return std::nullopt;
  return expiries_.begin()->first;
}

}  // namespace shoal::dht
