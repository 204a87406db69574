// SPDX-License-Identifier: Apache-2.0
// What the replicas of one key said: their records merged by highest sequence, and who lacks what
// another one has. Each record is verified once, however many send it. Value class, no clock, no
// I/O, bounded.
#pragma once

#include <map>
#include <vector>

#include "dht/contact.h"
#include "dht/key.h"
#include "dht/record.h"
#include "dht/time.h"
#include "proto/dht.pb.h"

namespace shoal::dht {

class FindResults {
 public:
  FindResults(const identity::SwarmId& swarm, const Key& key, std::size_t max_records)
      : swarm_(swarm), key_(key), max_records_(max_records) {}

  // Of our own store: verified when it came in.
  void add_own(const wire::SignedRecord& message, std::uint32_t remaining_ttl_ms, TimePoint now);

  struct Page {
    std::size_t records = 0;  // that are signed, belong to the key, and are the newest known
    std::size_t fresh = 0;    // that this peer had not shown before
    std::size_t invalid = 0;
  };
  Page add(const Contact& from, const wire::Found& found, TimePoint now);

  // Whether one of these peers said that it has fewer than there are, or showed all that it has and
  // lacks something.
  bool disagree(const std::vector<Contact>& peers, TimePoint now) const;

  // A peer that showed all it has, without a record that others have or with an older one.
  struct Lack {
    Contact peer;
    wire::SignedRecord record;
    std::uint32_t remaining_ttl_ms = 0;  // the least that anybody granted it
  };
  // In the order of `peers`, at most one of each, at most `limit`.
  std::vector<Lack> lacks(const std::vector<Contact>& peers, std::size_t limit,
                          TimePoint now) const;

  std::size_t total_of(const proto::PeerId& peer) const;  // records that it said it has
  bool has_shown_all(const proto::PeerId& peer) const;    // of them
  bool empty() const { return found_.empty(); }
  std::size_t size() const { return found_.size(); }
  bool full() const { return found_.size() >= max_records_; }
  bool any_live() const;                            // of nodes that did not withdraw
  std::vector<Record> take();                       // the live ones; the results are empty then
  std::vector<double> ages_s(TimePoint now) const;  // since the owner refreshed each, as told

 private:
  struct Item {
    wire::SignedRecord message;
    Record record;
    TimePoint expires;     // by the least time that anybody granted it
    bool belongs = false;  // to the key
  };
  struct Opinion {
    std::size_t total = 0;                             // that it says it has
    std::map<proto::PeerId, std::uint64_t> sequences;  // by subject
  };
  enum class Verdict { kNewest, kOlder, kInvalid };
  const Item* lacked_by(const proto::PeerId& peer, const Opinion& opinion, TimePoint now) const;
  static bool is_live(const Item& item);
  Verdict merge(const wire::StoredRecord& stored, TimePoint now, proto::PeerId& subject,
                std::uint64_t& sequence);

  identity::SwarmId swarm_;
  Key key_;
  std::size_t max_records_;
  std::map<proto::PeerId, Item> found_;  // by subject
  std::map<proto::PeerId, Opinion> opinions_;
};

}  // namespace shoal::dht
