// SPDX-License-Identifier: Apache-2.0
// Hostile peers that work together: each answers every find with the colluders closest to the
// target and nobody else, and accepts every record without keeping it. They share what they know.
// One thread.
#pragma once

#include <memory>

#include "tests/sim/sorted_contacts.h"
#include "tests/sim/speaker.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

// What all colluders of one swarm know.
class Colluders {
 public:
  explicit Colluders(std::optional<dht::SwarmKey> swarm_key = std::nullopt);
  PeerIndex add(Swarm& swarm);  // at a random address
  PeerIndex add_at(Swarm& swarm, const proto::Endpoint& endpoint, const dht::Identity& identity);
  std::size_t size() const;
  std::uint64_t withheld() const;  // records they took and keep from everybody

 private:
  friend class Colluder;
  struct Knowledge;
  const std::shared_ptr<Knowledge> knowledge_;
};

class Colluder final : public Speaker {
 public:
  Colluder(std::shared_ptr<Colluders::Knowledge> knowledge, const dht::Identity& self,
           const dht::Random::Seed& seed);

 private:
  wire::DhtMessage heard(const Delivery& delivery, const wire::DhtMessage& message,
                         dht::TimePoint now) override;

  const std::shared_ptr<Colluders::Knowledge> knowledge_;
};

}  // namespace shoal::sim
