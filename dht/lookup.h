// SPDX-License-Identifier: Apache-2.0
// One iterative lookup as a pure value: whom to ask next, what became of it, when to stop. It knows
// no time: the caller says when an answer is overdue (on_slow: stop waiting for it, ask one more)
// or given up (on_failure). After rust-libp2p's closest.rs and, for disjoint paths, S/Kademlia;
// departs in the stop rules, in suspects, and in that a far request never holds up a closer one.
#pragma once

#include <bitset>
#include <optional>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/key.h"

namespace shoal::dht {

// What a lookup is for: when it has asked enough.
struct LookupPlan {
  enum class Goal {
    kClosest,    // the closest peers: the beta closest answered
    kRecords,    // that, and enough replicas spoke, or the whole neighbourhood answered
    kEverybody,  // the whole neighbourhood answered: to join, to publish, to read with care
  };
  Goal goal = Goal::kClosest;
  // Disjoint paths: each candidate belongs to one, each path finds its own way to the target, so
  // that liars on one cannot lead the others astray.
  bool secure = false;
  // Everybody within this distance of the target belongs to the neighbourhood, with or without the
  // k closest.
  std::optional<Key> radius = std::nullopt;
  // So many of the closest belong to it, too; 0: min_neighbours with a radius, else k.
  std::size_t width = 0;
  DiversityConfig diversity{};  // few of one network count as close
};

class Lookup {
 public:
  static constexpr std::size_t kMaxPaths = 8;

  Lookup(const Key& target, const proto::PeerId& self, const LookupConfig& config,
         const LookupPlan& plan);

  // Known from before. A suspect is asked like others but never waited for.
  void add(const Contact& contact, bool suspect = false);
  // Told by `from`, who answered.
  void add(const Contact& contact, const proto::PeerId& from, bool suspect = false);

  // Ask this one now, perhaps again; nullopt: nobody, for now.
  std::optional<Contact> next();
  void on_answer(const Contact& from, bool records = false);
  void on_slow(const proto::PeerId& peer);
  void on_failure(const proto::PeerId& peer);
  bool finished() const;
  bool exhausted() const;  // nobody left to ask, and everybody who was is overdue or gave up: only
                           // late answers remain

  // The answers disagree: go on with the whole neighbourhood.
  void widen(std::optional<Key> radius = std::nullopt);
  // Go on over disjoint paths: what was known so far is the first path, what is added from now on
  // begins the others.
  void secure(std::optional<Key> radius = std::nullopt);

  const Key& target() const { return target_; }
  const LookupPlan& plan() const { return plan_; }
  std::size_t candidates() const { return candidates_.size(); }
  std::size_t asked() const { return asked_; }  // requests, repeats included
  int hops(const proto::PeerId& peer) const;    // 1: was known from before; 0: unknown
  // An earlier request to this peer is still without answer.
  bool repeats(const proto::PeerId& peer) const;
  // Those that answered and count as close, closest first.
  std::vector<Contact> answered(std::size_t count) const;
  // The ids of the closest that answered, closest first, as far as nobody between them is open.
  std::vector<Key> heard() const;
  // It counts as one of the target's neighbourhood, as far as is known now.
  bool is_neighbour(const proto::PeerId& peer) const;
  // The distances of the closest that anybody told of, whether they live or not.
  std::vector<Key> nearest(std::size_t count) const;
  // Known ids within this distance: more than chance puts there are somebody who wants the records.
  std::size_t within(const Key& distance) const;

 private:
  // Which of those who answered told of a candidate, by the order of their answers.
  static constexpr std::size_t kMaxTellers = 256;
  using Tellers = std::bitset<kMaxTellers>;
  struct Credit {  // of those it told of
    std::uint16_t answered = 0, missed = 0;
  };
  enum class State : std::uint8_t { kNew, kWaiting, kSlow, kAnswered, kFailed };
  struct Candidate {
    Key distance;
    Contact contact;
    proto::Endpoint other;  // of another opinion where this peer is; port 0: none
    State state = State::kNew;
    std::uint8_t path = 0;
    std::uint8_t hops = 1;
    std::uint8_t open = 0;  // requests without answer
    bool suspect = false;
    bool again = false;      // is not asked once more
    bool neighbour = false;  // of the target, as far as is known now
    bool on_way = false;     // among the closest of its path
    bool crowded = false;    // does not count: too many are beside it, or nobody believes in it
    bool missed = false;     // is late, and has not answered
    std::uint16_t teller = kMaxTellers;  // its number among those who answered
    Tellers told_by;                     // none: we knew it
  };

  void count_replica(const proto::Endpoint& endpoint);
  void set_missed(Candidate& candidate, bool missed);
  void tell(Candidate& candidate, std::size_t teller);
  void judge(std::size_t teller);

  std::size_t place_of(const Key& distance) const;
  Candidate* find(const proto::PeerId& peer);
  const Candidate* find(const proto::PeerId& peer) const;
  bool insert(const Contact& contact, std::size_t path, int hops, bool suspect,
              std::size_t teller = kMaxTellers);
  static bool gone(const Candidate& candidate);
  void rank() const;
  std::size_t victim(std::size_t place) const;
  std::size_t way_width() const;
  bool has_replicas() const;
  bool may_ask(const Candidate& candidate) const;
  Contact ask(Candidate& candidate);
  static void try_other(Candidate& candidate);
  bool closest_answered(std::size_t path) const;

  const Key target_;
  const proto::PeerId self_;
  const LookupConfig config_;
  LookupPlan plan_;
  mutable std::vector<Candidate> candidates_;  // by distance
  mutable bool ranked_ = false;                // neighbour and on_way of each are up to date
  std::vector<Credit> tellers_;
  Tellers doubted_;
  std::size_t first_path_ = 0, next_path_ = 0;
  std::size_t max_requests_;
  std::size_t asked_ = 0, answers_ = 0;
  std::size_t replicas_ = 0;  // of different networks
  std::vector<std::uint64_t> replica_networks_;
};

}  // namespace shoal::dht
