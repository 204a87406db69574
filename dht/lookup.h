// SPDX-License-Identifier: Apache-2.0
// One iterative lookup as a pure value: whom to ask next, what became of it, when to stop. It knows
// no time: the caller says when an answer is overdue (on_slow: stop waiting, ask one more) or given
// up (on_failure). After rust-libp2p's closest.rs; departs in the stop rule (the beta closest
// answered) and in suspects.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "dht/config.h"
#include "dht/contact.h"
#include "dht/key.h"

namespace shoal::dht {

class Lookup {
 public:
  Lookup(const Key& target, const proto::PeerId& self, const LookupConfig& config);

  // A suspect is asked like others but never waited for.
  void add(const Contact& contact, bool suspect = false);
  std::optional<Contact> next();  // ask this one now; nullopt: nobody, for now
  void on_answer(const proto::PeerId& peer);
  // False: nobody else is left to ask and too few answered, so ask this one again; it still counts
  // as waited for.
  bool on_slow(const proto::PeerId& peer);
  void on_failure(const proto::PeerId& peer);
  bool finished() const;
  bool exhausted() const;  // nobody left to ask, and everybody who was is overdue or gave up: only
                           // late answers remain

  const Key& target() const { return target_; }
  std::size_t candidates() const { return candidates_.size(); }
  std::vector<Contact> answered(std::size_t count) const;  // closest first

 private:
  enum class State { kNew, kWaiting, kSlow, kAnswered, kFailed };
  struct Candidate {
    Contact contact;
    State state = State::kNew;
    bool suspect = false;
    bool again = false;  // was asked a second time
  };

  Candidate* find(const proto::PeerId& peer);
  std::size_t wanted() const { return config_.exhaustive ? config_.k : config_.beta; }
  std::size_t count(State state) const;

  const Key target_;
  const proto::PeerId self_;
  const LookupConfig config_;
  std::map<Key, Candidate> candidates_;  // by distance
};

}  // namespace shoal::dht
