// SPDX-License-Identifier: Apache-2.0
// The contacts a peer knows, in buckets by common prefix with its own id. Value class: no clock, no
// I/O. Departs from Kademlia: the four farthest buckets are larger (128/64/32/20, as libtorrent's),
// a contact enters only after it proved its address in a session, and every contact is checked on a
// timer of its own (as geth).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/key.h"
#include "dht/random.h"

namespace shoal::dht {

class RoutingTable {
 public:
  struct Entry {
    Contact contact;
    TimePoint next_check;
    int failures = 0;       // requests without answer, in a row
    bool suspect = false;   // a request is overdue: ask, but do not wait for it
    bool verified = false;  // has answered us since the last failure
    bool greeted = false;   // was handed the records it should hold
  };

  RoutingTable(const proto::PeerId& self, const RoutingConfig& config, Random& random);

  // A datagram of `contact` came in a session; `answered` when it was the answer to a request of
  // ours.
  void heard(const Contact& contact, bool answered, TimePoint now);
  void overdue(const proto::PeerId& peer);  // soft time-out
  void failed(const proto::PeerId& peer,
              TimePoint now);  // hard time-out; removes after max_failures
  void checking(const proto::PeerId& peer,
                TimePoint now);  // a check was sent: the next one is later
  void greeted(const proto::PeerId& peer, bool value);

  const Entry* find(const proto::PeerId& peer) const;
  std::vector<Entry> closest(const Key& target, std::size_t count) const;
  // Contacts strictly closer to target than `than`, without counting `except`; stops counting at
  // `limit`.
  std::size_t count_closer(const Key& target, const Key& than, const proto::PeerId& except,
                           std::size_t limit) const;
  std::vector<Contact> due(TimePoint now) const;
  std::optional<TimePoint> next_check() const;

  std::size_t size() const { return checks_.size(); }
  std::size_t verified() const;
  int deepest_bucket() const { return buckets_.empty() ? 0 : buckets_.rbegin()->first; }
  // How many peers the swarm has, judged from how dense it is around us.
  double estimated_peers() const;

 private:
  struct Bucket {
    std::vector<Entry> live;
    std::vector<Contact> replacements;  // newest last
  };

  std::size_t capacity(int bucket) const;
  Entry* mutable_find(const proto::PeerId& peer);
  void insert(Bucket& bucket, const Contact& contact, bool answered, TimePoint now);
  void schedule(Entry& entry, TimePoint now);
  void schedule_at(Entry& entry, TimePoint when);

  const Key self_;
  const RoutingConfig config_;
  Random random_;
  std::map<int, Bucket> buckets_;
  std::set<std::pair<TimePoint, proto::PeerId>> checks_;  // one per live entry
};

}  // namespace shoal::dht
