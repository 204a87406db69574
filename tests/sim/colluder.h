// SPDX-License-Identifier: Apache-2.0
// Hostile peers that work together: they share all they know, tell of nobody but each other, and
// take every record without keeping it for anybody. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/sorted_contacts.h"
#include "tests/sim/speaker.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

// What a colluder answers when somebody looks for a record, or for whom to store it at.
enum class Collusion {
  kWithhold,  // the colluders closest to the key, and no record
  kOld,       // the same, and the oldest version of each record that any of them was given
  // Contacts that nobody is behind, closer to the key than anybody who lives, at addresses in the
  // networks of those who hold it; with the oldest version likewise.
  kGhosts,
  kMixed,  // a third of them each
};

// What all colluders of one swarm know.
class Colluders {
 public:
  explicit Colluders(std::optional<identity::SwarmKey> swarm_key = std::nullopt,
                     Collusion collusion = Collusion::kWithhold);
  PeerIndex add(Swarm& swarm);  // at a random address
  PeerIndex add_at(Swarm& swarm, const proto::Endpoint& endpoint,
                   const identity::Identity& identity);
  // For ghosts: how many keys they draw from, the more the closer to any key, and the honest peers.
  void invent(Swarm& swarm, std::size_t ghosts, const std::vector<PeerIndex>& honest);
  std::size_t size() const;
  std::uint64_t withheld() const;  // records they took and keep from everybody

 private:
  friend class Colluder;
  struct Knowledge;
  const std::shared_ptr<Knowledge> knowledge_;
};

class Colluder final : public Speaker {
 public:
  Colluder(std::shared_ptr<Colluders::Knowledge> knowledge, Collusion collusion,
           const identity::Identity& self, const identity::Random::Seed& seed);

 private:
  wire::DhtMessage heard(const Delivery& delivery, const wire::DhtMessage& message,
                         dht::TimePoint now) override;

  const std::shared_ptr<Colluders::Knowledge> knowledge_;
  const Collusion collusion_;
};

}  // namespace shoal::sim
