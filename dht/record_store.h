// SPDX-License-Identifier: Apache-2.0
// The records this peer holds, its own among them: one per subject, newest sequence wins, expiry by
// our own clock. Value class: no clock, no I/O, bounded. A held record answers for every key it
// proves (DESIGN's keys_of), whichever key it was stored under. Merge is commutative, associative
// and idempotent in (sequence).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "dht/config.h"
#include "dht/record.h"

namespace shoal::dht {

enum class PutResult {
  kStored,     // new, or newer than what was here
  kRefreshed,  // the same bytes from their owner: the expiry starts again
  kUnchanged,  // the same bytes from a replica: nothing to do
  kStale,      // older than what is or was here
  kWrongKey,
  kInvalid,
  kFull,
};
bool is_accepted(PutResult result);
std::string_view to_string(PutResult result);

// Whether `record` may be stored under `key`: one of keys_of(); for a withdrawn record, any block
// of its model.
bool proves(const SwarmId& swarm, const Record& record, const Key& key);

class RecordStore {
 public:
  struct Entry {
    wire::SignedRecord message;
    proto::PeerId subject;
    proto::Digest model;
    proto::Span span;
    std::uint64_t sequence = 0;
    bool withdrawn = false;
    TimePoint expires;
    std::uint32_t remaining_ttl_ms(TimePoint now) const;
  };

  RecordStore(const SwarmId& swarm, const StoreConfig& config);

  // `sender` is the authenticated peer that asks. The owner may refresh; anybody else hands over a
  // replica, whose remaining time never grows, and which cannot bring back a sequence that expired
  // here.
  PutResult put(const wire::SignedRecord& message, const proto::PeerId& sender,
                std::span<const Key> keys, std::uint32_t remaining_ttl_ms, TimePoint now);

  // Live and withdrawn records for `key`, ordered by subject. Valid until the next change.
  std::vector<const Entry*> find(const Key& key, TimePoint now) const;
  const Entry* get(const proto::PeerId& subject) const;
  std::vector<proto::PeerId> subjects() const;
  std::vector<Key> keys(const Entry& entry) const;  // those of keys_of()

  void expire(TimePoint now);
  std::optional<TimePoint> next_expiry() const;
  std::size_t size() const { return entries_.size(); }
  std::size_t index_size() const { return index_.size(); }

 private:
  struct Model {
    std::set<proto::PeerId> subjects;
    std::vector<Key> block_keys;  // of blocks [0, size)
  };
  struct Target {
    proto::Digest model;
    std::optional<proto::BlockIndex> block;  // none: the model's index key
  };

  bool index_model(const proto::Digest& digest, std::uint32_t blocks);
  void remove(const proto::PeerId& subject);
  void remember(const Entry& entry, TimePoint now);

  const SwarmId swarm_;
  const StoreConfig config_;
  const Key models_key_;
  std::map<proto::PeerId, Entry> entries_;
  std::set<std::pair<TimePoint, proto::PeerId>> expiries_;
  std::map<proto::Digest, Model> models_;
  std::map<Key, Target> index_;
  std::map<proto::PeerId, std::pair<std::uint64_t, TimePoint>> remembered_;  // sequence, until
  std::set<std::pair<TimePoint, proto::PeerId>> remembered_order_;
};

}  // namespace shoal::dht
