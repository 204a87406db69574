// SPDX-License-Identifier: Apache-2.0
// The records this peer holds, its own among them: one per subject, newest sequence wins, expiry by
// our own clock. Value class: no clock, no I/O, bounded. A held record answers for every key it
// proves (DESIGN's keys_of), whichever key it was stored under. Merge is commutative, associative
// and idempotent in (sequence). When it is full, whoever has most in it gives way: a network (/24)
// that stores much for itself, or that hands over much for others.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/record.h"

namespace shoal::dht {

enum class PutResult {
  kStored,     // new, or newer than what was here
  kRefreshed,  // the same bytes from their owner: the expiry starts again
  kUnchanged,  // the same bytes from a replica: nothing to do
  kStale,      // older than what is or was here
  kWrongKey,
  kInvalid,
  kForged,  // signed by another: the sender does what no honest peer does
  kFull,
};
bool is_accepted(PutResult result);
std::string_view to_string(PutResult result);

// Whether `record` may be stored under `key`: one of keys_of(); for a withdrawn record, any block
// of its model.
bool proves(const identity::SwarmId& swarm, const Record& record, const Key& key);

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
    std::uint64_t source = 0;  // who brought it: see source_of(); 0 for our own record
    std::uint32_t remaining_ttl_ms(TimePoint now) const;
  };

  RecordStore(const identity::SwarmId& swarm, const StoreConfig& config);

  // `sender` is the authenticated peer that asks; ourselves without an endpoint. The owner may
  // refresh, with as much time as it says is left; anybody else hands over a replica, whose
  // remaining time never grows, and which cannot bring back a sequence that expired here.
  PutResult put(const wire::SignedRecord& message, const Contact& sender, std::span<const Key> keys,
                std::uint32_t remaining_ttl_ms, TimePoint now);

  // Live and withdrawn records for `key`, ordered by subject. Valid until the next change.
  std::vector<const Entry*> find(const Key& key, TimePoint now) const;
  // The records number `cursor` to `cursor + count` of them, in an order that depends on `seed`: of
  // a crowded key each asker sees others first.
  struct Page {
    std::vector<const Entry*> entries;
    std::size_t total = 0;
  };
  Page page(const Key& key, std::uint64_t seed, std::size_t cursor, std::size_t count,
            TimePoint now) const;
  const Entry* get(const proto::PeerId& subject) const;
  std::vector<proto::PeerId> subjects() const;
  std::vector<Key> keys(const Entry& entry) const;  // those of keys_of()

  void expire(TimePoint now);
  std::optional<TimePoint> next_expiry() const;
  std::uint64_t changes() const { return changes_; }  // grows when an entry comes, changes or goes
  std::size_t size() const { return entries_.size(); }
  std::size_t index_size() const { return index_.size(); }
  std::size_t source_count() const { return sources_.size(); }

 private:
  struct Model {
    std::set<proto::PeerId> subjects;
    std::vector<Key> block_keys;  // of blocks [0, size)
  };
  struct Target {
    proto::Digest model;
    std::optional<proto::BlockIndex> block;  // none: the model's index key
  };

  static bool is_hit(const Entry& entry, const Target& target);  // for an entry of target's model
  bool answers_for(const Entry& entry, const Key& key) const;    // whether find(key) shows it
  bool index_model(const proto::Digest& digest, std::uint32_t blocks);
  void insert(Entry entry);
  void remove(proto::PeerId subject);  // a copy: callers name a subject of the sets it changes
  // The sender's network and whether it speaks as owner or for others, as one number.
  static std::uint64_t source_of(const proto::Endpoint& sender, bool owner);
  // Whether there is room for one more of this source; makes some if that is fair.
  bool make_room(std::uint64_t source, TimePoint now);
  bool make_room_in_model(std::uint64_t source, const proto::Digest& digest, TimePoint now);
  void give_way(const proto::PeerId& subject, TimePoint now);
  std::size_t count_of(std::uint64_t source) const;
  void count(std::uint64_t source, int change);
  void remember(const Entry& entry, TimePoint now);

  const identity::SwarmId swarm_;
  const StoreConfig config_;
  std::uint64_t changes_ = 0;
  const Key models_key_;
  std::map<proto::PeerId, Entry> entries_;
  std::set<std::pair<TimePoint, proto::PeerId>> expiries_;
  // By source, soonest to expire first; and the sources by how much they have here.
  std::set<std::tuple<std::uint64_t, TimePoint, proto::PeerId>> by_source_;
  std::map<std::uint64_t, std::size_t> sources_;
  std::set<std::pair<std::size_t, std::uint64_t>> ranking_;
  std::map<proto::Digest, Model> models_;
  std::map<Key, Target> index_;
  std::map<proto::PeerId, std::pair<std::uint64_t, TimePoint>> remembered_;  // sequence, until
  std::set<std::pair<TimePoint, proto::PeerId>> remembered_order_;
};

}  // namespace shoal::dht
