// SPDX-License-Identifier: Apache-2.0
// A hostile peer that speaks the protocol: a key of its own, real sessions and questions, and
// answers as its kind makes them. One thread.
#pragma once

#include "dht/session.h"
#include "tests/sim/participant.h"

namespace shoal::sim {

class Speaker : public Participant {
 public:
  Speaker(const identity::Identity& self, const std::optional<identity::SwarmKey>& swarm_key,
          const identity::Random::Seed& seed);

  void handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                       dht::TimePoint now) override;
  void handle_timeout(dht::TimePoint) override {}
  std::optional<dht::TimePoint> next_timeout() const override { return std::nullopt; }
  std::optional<Outgoing> poll_transmit() override;

 protected:
  using Delivery = dht::Sessions::Delivery;
  // What to answer; nothing when it has no body. Answers of others come here, too.
  virtual wire::DhtMessage heard(const Delivery& delivery, const wire::DhtMessage& message,
                                 dht::TimePoint now) = 0;
  void send(const dht::Contact& to, wire::DhtMessage message, dht::TimePoint now);

  const identity::Identity self_;
  const identity::SwarmId swarm_;
  identity::Random random_;
  dht::Sessions sessions_;
};

// Bytes of contacts and records that fit into an answer of `room` bytes.
class AnswerRoom {
 public:
  explicit AnswerRoom(std::size_t room) : left_(room < 48 ? 0 : room - 48) {}
  bool add(wire::Found& found, const dht::Contact& contact);
  bool add(wire::Found& found, const wire::SignedRecord& record, std::uint32_t remaining_ttl_ms);

 private:
  std::size_t left_;
};

wire::DhtMessage pong(const proto::Endpoint& to);
wire::DhtMessage accept_all(const wire::Store& store);

}  // namespace shoal::sim
