// SPDX-License-Identifier: Apache-2.0
#include "dht/find_results.h"

#include <algorithm>

#include "dht/record_store.h"

namespace shoal::dht {
namespace {

std::uint32_t remaining_ms(TimePoint expires, TimePoint now) {
  const auto left = std::chrono::duration_cast<milliseconds>(expires - now).count();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(left, 0));
}

}  // namespace

void FindResults::add_own(const wire::SignedRecord& message, std::uint32_t remaining_ttl_ms,
                          TimePoint now) {
  absl::StatusOr<Record> record = decode_record(message);
  if (!record.ok() || full()) return;
  const proto::PeerId subject = record->peer_id();
  const bool belongs = proves(swarm_, *record, key_);
  found_[subject] = {message, *std::move(record), now + milliseconds(remaining_ttl_ms), belongs};
}

FindResults::Verdict FindResults::merge(const wire::StoredRecord& stored, TimePoint now,
                                        proto::PeerId& subject, std::uint64_t& sequence) {
  wire::Record peek;
  if (stored.remaining_ttl_ms() == 0 || !peek.ParseFromString(stored.record().payload()))
    return Verdict::kInvalid;
  const auto key = identity::PublicKey::from_bytes(peek.public_key());
  if (!key) return Verdict::kInvalid;
  subject = identity::peer_id_of(*key);
  sequence = peek.sequence();
  const auto known = found_.find(subject);
  if (known != found_.end()) {
    Item& item = known->second;
    if (item.record.sequence > sequence) return Verdict::kOlder;
    // Replicas mostly send the same bytes, which were verified with the first of them.
    if (item.message.payload() == stored.record().payload() &&
        item.message.signature() == stored.record().signature()) {
      const auto granted = std::min(stored.remaining_ttl_ms(), item.record.ttl_ms);
      item.expires = std::min(item.expires, now + milliseconds(granted));
      return item.belongs ? Verdict::kNewest : Verdict::kInvalid;
    }
    // Two records of one sequence: its owner is confused, or this one is forged.
    if (item.record.sequence == sequence) return Verdict::kInvalid;
  } else if (full()) {
    return Verdict::kOlder;
  }
  absl::StatusOr<Record> record = verify_record(stored.record());
  if (!record.ok()) return Verdict::kInvalid;
  // A newer record of another span tells that an older one of this key is void.
  const bool belongs = proves(swarm_, *record, key_);
  if (known == found_.end() && !belongs) return Verdict::kInvalid;
  const auto granted = std::min(stored.remaining_ttl_ms(), record->ttl_ms);
  found_[subject] = {stored.record(), *std::move(record), now + milliseconds(granted), belongs};
  return belongs ? Verdict::kNewest : Verdict::kInvalid;
}

FindResults::Page FindResults::add(const Contact& from, const wire::Found& found, TimePoint now) {
  Page page;
  Opinion& opinion = opinions_[from.peer];
  opinion.total =
      std::max<std::size_t>(found.total_records(), static_cast<std::size_t>(found.records_size()));
  const std::size_t shown = opinion.sequences.size();
  for (const wire::StoredRecord& stored : found.records()) {
    proto::PeerId subject;
    std::uint64_t sequence = 0;
    switch (merge(stored, now, subject, sequence)) {
      case Verdict::kNewest:
        ++page.records;
        opinion.sequences[subject] = sequence;
        break;
      case Verdict::kOlder:
        opinion.sequences.try_emplace(subject, sequence);
        break;
      case Verdict::kInvalid:
        ++page.invalid;
        break;
    }
  }
  page.fresh = opinion.sequences.size() - shown;
  return page;
}

const FindResults::Item* FindResults::lacked_by(const proto::PeerId& peer, const Opinion& opinion,
                                                TimePoint now) const {
  if (opinion.sequences.size() < opinion.total) return nullptr;  // it has not shown all
  for (const auto& [subject, item] : found_) {
    if (item.expires <= now || !item.belongs || subject == peer) continue;
    const auto told = opinion.sequences.find(subject);
    if (told == opinion.sequences.end() || told->second < item.record.sequence) return &item;
  }
  return nullptr;
}

bool FindResults::disagree(const std::vector<Contact>& peers, TimePoint now) const {
  const auto all =
      static_cast<std::size_t>(std::count_if(found_.begin(), found_.end(), [&](const auto& entry) {
        return entry.second.belongs && entry.second.expires > now;
      }));
  return std::any_of(peers.begin(), peers.end(), [&](const Contact& peer) {
    const auto opinion = opinions_.find(peer.peer);
    if (opinion == opinions_.end()) return false;
    const bool itself = found_.contains(peer.peer);  // may keep its own record for others
    return opinion->second.total + itself < all ||
           lacked_by(peer.peer, opinion->second, now) != nullptr;
  });
}

std::vector<FindResults::Lack> FindResults::lacks(const std::vector<Contact>& peers,
                                                  std::size_t limit, TimePoint now) const {
  std::vector<Lack> result;
  for (const Contact& peer : peers) {
    if (result.size() >= limit) break;
    const auto opinion = opinions_.find(peer.peer);
    if (opinion == opinions_.end()) continue;
    const Item* item = lacked_by(peer.peer, opinion->second, now);
    if (item != nullptr) result.push_back({peer, item->message, remaining_ms(item->expires, now)});
  }
  return result;
}

std::size_t FindResults::total_of(const proto::PeerId& peer) const {
  const auto opinion = opinions_.find(peer);
  return opinion == opinions_.end() ? 0 : opinion->second.total;
}

bool FindResults::has_shown_all(const proto::PeerId& peer) const {
  const auto opinion = opinions_.find(peer);
  return opinion != opinions_.end() && opinion->second.sequences.size() >= opinion->second.total;
}

bool FindResults::is_live(const Item& item) {
  return item.belongs && item.record.load.state != proto::NodeState::kOffline;
}

bool FindResults::any_live() const {
  return std::any_of(found_.begin(), found_.end(),
                     [](const auto& entry) { return is_live(entry.second); });
}

std::vector<Record> FindResults::take() {
  std::vector<Record> result;
  for (auto& [subject, item] : found_) {
    if (is_live(item)) result.push_back(std::move(item.record));
  }
  found_.clear();
  return result;
}

std::vector<double> FindResults::ages_s(TimePoint now) const {
  std::vector<double> result;
  for (const auto& [subject, item] : found_) {
    const double ttl_s = static_cast<double>(item.record.ttl_ms) / 1000;
    const double left_s = static_cast<double>(remaining_ms(item.expires, now)) / 1000;
    result.push_back(std::max(0.0, ttl_s - left_s));
  }
  return result;
}

}  // namespace shoal::dht
