// SPDX-License-Identifier: Apache-2.0
// Hostile peers that work together: each speaks the protocol with a key of its own, answers every
// find with the colluders closest to the target and nobody else, and accepts every record without
// keeping it. They share what they know. One thread.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dht/session.h"
#include "tests/sim/sorted_contacts.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

// What all colluders of one swarm know.
class Colluders {
 public:
  Colluders();
  PeerIndex add(Swarm& swarm);  // at a random address
  PeerIndex add_at(Swarm& swarm, const proto::Endpoint& endpoint, const dht::Identity& identity);
  std::size_t size() const;
  std::uint64_t withheld() const;  // records they took and keep from everybody

 private:
  friend class Colluder;
  struct Knowledge;
  const std::shared_ptr<Knowledge> knowledge_;
};

class Colluder final : public Participant {
 public:
  Colluder(std::shared_ptr<Colluders::Knowledge> knowledge, const dht::Identity& self,
           const dht::Random::Seed& seed);

  void handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                       dht::TimePoint now) override;
  void handle_timeout(dht::TimePoint) override {}
  std::optional<dht::TimePoint> next_timeout() const override { return std::nullopt; }
  std::optional<Outgoing> poll_transmit() override;

 private:
  wire::DhtMessage answer(const dht::Sessions::Delivery& asked, const wire::DhtMessage& message);

  const std::shared_ptr<Colluders::Knowledge> knowledge_;
  const dht::Identity self_;
  dht::Random random_;
  dht::Sessions sessions_;
};

}  // namespace shoal::sim
