// SPDX-License-Identifier: Apache-2.0
// The contacts a peer knows, in buckets by common prefix with its own id. Value class: no clock, no
// I/O. Departs from Kademlia: the four farthest buckets are larger (128/64/32/20, as libtorrent's),
// networks are limited (diversity.h), and contacts are checked one at a time on the table's own
// timer (as geth): the unverified and failing first, then bucket by bucket whoever was silent
// longest. Compact: 100,000 tables of 500 contacts must fit into one simulation.
#pragma once

#include <optional>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/key.h"
#include "identity/random.h"

namespace shoal::dht {

class RoutingTable {
 public:
  struct Entry {
    Contact contact;
    std::uint8_t failures = 0;  // requests without answer, in a row
    bool suspect : 1 = false;   // a request is overdue: ask, but do not wait for it
    bool verified : 1 = false;  // has answered us since the last failure
    bool proven : 1 = false;    // has spoken to us: we do not only know it from others
    bool greeted : 1 = false;   // was handed the records it should hold
    std::uint32_t due = 0;      // when it may be checked next, in ticks
  };

  RoutingTable(const proto::PeerId& self, const RoutingConfig& config, identity::Random& random);

  // `contact` spoke to us, by which its key and address are proven; `answered` when it was an
  // answer to what we asked. It enters where there is room, or takes the place of one that fails.
  void heard(const Contact& contact, bool answered, TimePoint now);
  // Others told us of it, or a file: it enters where there is room, to be checked.
  void learned(const Contact& contact, TimePoint now);
  void overdue(const proto::PeerId& peer);  // soft time-out
  // Hard time-out. Removes after max_failures, and at once whom we only heard of, and from a large
  // table whom we asked again and again, unless nobody else answers either.
  void failed(const proto::PeerId& peer, bool asked_again, TimePoint now);
  void greeted(const proto::PeerId& peer, bool value);
  void remove(const proto::PeerId& peer, TimePoint now);  // banned

  // The contact to check now. The table counts it as asked.
  std::optional<Contact> poll_check(TimePoint now);
  std::optional<TimePoint> next_check() const;

  enum class Which {
    kAll,       // whom we may ask
    kTellable,  // whom we tell others about: verified, or in a small table proven, and not failing
  };
  // Closest first. Pointers hold until the table changes.
  std::vector<const Entry*> closest(const Key& target, std::size_t count,
                                    Which which = Which::kAll) const;
  const Entry* find(const proto::PeerId& peer) const;
  // Contacts strictly closer to target than `than`, without counting `except`; stops counting at
  // `limit`.
  std::size_t count_closer(const Key& target, const Key& than, const proto::PeerId& except,
                           std::size_t limit) const;
  template <typename F>
  void for_each(F&& visit) const {
    for (const Bucket& bucket : buckets_) {
      for (const Entry& entry : bucket.live) visit(entry);
    }
  }

  std::size_t size() const { return size_; }
  std::size_t verified() const { return verified_; }
  bool small() const { return size_ <= config_.k; }
  int deepest_bucket() const {
    return buckets_.empty() ? 0 : static_cast<int>(buckets_.size()) - 1;
  }
  std::size_t bucket_size(int bucket) const {
    return buckets_[static_cast<std::size_t>(bucket)].live.size();
  }
  // How many peers the swarm has, judged from how dense it is around us: before lookups tell
  // (size_estimate.h).
  double estimated_peers() const;
  std::size_t memory_bytes() const;  // of this value and all it holds

 private:
  struct Bucket {
    std::vector<Entry> live;
    std::vector<Contact> replacements;  // newest last
  };
  struct Place {
    Bucket* bucket = nullptr;
    Entry* entry = nullptr;
  };

  std::size_t capacity(std::size_t bucket) const;
  Place place_of(const proto::PeerId& peer);
  // The buckets that are not empty, the one nearest to target first: every contact of one is closer
  // than every contact of the next.
  template <typename F>
  void visit_buckets(const Key& target, F&& visit) const;
  bool is_tellable(const Entry& entry) const;
  bool is_diverse(const Bucket& bucket, const proto::Endpoint& endpoint) const;
  // Whether the bucket `index`, which this makes when it is missing, takes in one more.
  bool has_room(std::size_t index, const proto::Endpoint& endpoint);
  Entry& insert(std::size_t index, const Contact& contact, TimePoint now);
  bool replace(Bucket& bucket, Entry& entry, const Contact& contact, TimePoint now);
  void vacate(Bucket& bucket, Entry& entry,
              TimePoint now);  // a replacement follows, if there is one
  void trim();
  void keep_replacement(Bucket& bucket, const Contact& contact, bool proven);
  void mark(Entry& entry, bool verified);

  Duration jittered(Duration base);
  void schedule(Entry& entry, Duration wait, TimePoint now);
  Duration pace() const;
  Entry* urgent_check(std::uint32_t tick);
  Entry* routine_check(std::uint32_t tick);

  const Key self_;
  const RoutingConfig config_;
  std::uint64_t jitter_;         // state of a small generator
  std::vector<Bucket> buckets_;  // by length of the common prefix, up to the deepest in use
  std::size_t size_ = 0;
  std::size_t verified_ = 0;
  std::size_t routine_bucket_ = 0;  // where the routine check goes on
  int urgent_in_row_ = 0;
  int silences_ = 0;  // contacts that were asked again and again since one answered
  TimePoint last_check_{};
  std::optional<TimePoint> next_check_;
};

}  // namespace shoal::dht
