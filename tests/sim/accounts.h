// SPDX-License-Identifier: Apache-2.0
// What publishes and lookups of a scenario came to, and how to set many of them going. Value
// classes; one thread.
#pragma once

#include "tests/sim/population.h"

namespace shoal::sim {

struct PublishAccount {
  Samples took_ms, replicas, messages;
  std::size_t unfinished = 0;
  void add(const Swarm& swarm, dht::TimePoint begin, const dht::Event& event);
  void report(Report& report) const;
};

class LookupAccount {
 public:
  enum class Outcome { kNewest, kOld, kMissing };
  // As it stood when the lookup began.
  struct Question {
    PeerIndex asker, owner;
    std::uint64_t expected;  // the newest sequence number of the owner's that was published
    dht::TimePoint begin;
    std::uint64_t sent;  // by the asker
  };
  static Question ask(const Swarm& swarm, PeerIndex asker, PeerIndex owner, std::uint64_t expected);
  Outcome add(const Swarm& swarm, const Question& question, const dht::Event& event);
  void add_unfinished() { ++unfinished_; }

  std::size_t lookups() const { return newest_ + old_ + missing_ + unfinished_; }
  double success() const;
  void report(Report& report) const;
  const Samples& first_record_ms() const { return first_; }
  const Samples& three_replicas_ms() const { return three_; }
  const Samples& took_ms() const { return took_; }
  const Samples& messages() const { return messages_; }

 private:
  Samples first_, three_, took_, messages_, hops_, answers_;
  std::size_t newest_ = 0, old_ = 0, missing_ = 0, unfinished_ = 0;
};

// Every owner publishes its record under its one key, all begun within `spread`; runs until all
// have ended or a minute more has passed.
PublishAccount publish_all(Population& population, const std::vector<PeerIndex>& owners,
                           dht::Duration spread);
// Random live honest peers look for random owners' records, likewise.
LookupAccount look_up(Population& population, const std::vector<PeerIndex>& owners,
                      std::size_t lookups, dht::Duration spread, bool secure = false);
// How many honest peers but the owner hold the newest record of each: what publishing achieved.
Samples honest_holders(Population& population, const std::vector<PeerIndex>& owners);
// Owners whose record `holder` holds.
std::vector<PeerIndex> held_by(Swarm& swarm, PeerIndex holder,
                               const std::vector<PeerIndex>& owners);

}  // namespace shoal::sim
