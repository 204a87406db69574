// SPDX-License-Identifier: Apache-2.0
// Whoever speaks in the simulated network: honest peers, which are the real core, and hostile ones.
// Times are those of the participant's own clock.
#pragma once

#include <optional>
#include <string_view>

#include "dht/kademlia.h"

namespace shoal::sim {

struct Outgoing {
  dht::Datagram datagram;
  std::optional<proto::Endpoint> forged_source;  // hostile ones may lie about it
};

class Participant {
 public:
  virtual ~Participant() = default;
  virtual void handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                               dht::TimePoint now) = 0;
  virtual void handle_timeout(dht::TimePoint now) = 0;
  virtual std::optional<dht::TimePoint> next_timeout() const = 0;
  virtual std::optional<Outgoing> poll_transmit() = 0;
};

class HonestPeer final : public Participant {
 public:
  HonestPeer(const dht::KademliaConfig& config, const identity::Identity& self,
             const identity::Random::Seed& seed, dht::TimePoint now)
      : core_(config, self, seed, now) {}

  void handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                       dht::TimePoint now) override {
    core_.handle_datagram(bytes, from, now);
  }
  void handle_timeout(dht::TimePoint now) override { core_.handle_timeout(now); }
  std::optional<dht::TimePoint> next_timeout() const override { return core_.next_timeout(); }
  std::optional<Outgoing> poll_transmit() override {
    auto datagram = core_.poll_transmit();
    if (!datagram) return std::nullopt;
    return Outgoing{*std::move(datagram), std::nullopt};
  }
  dht::Kademlia& core() { return core_; }

 private:
  dht::Kademlia core_;
};

}  // namespace shoal::sim
