// SPDX-License-Identifier: Apache-2.0
// Hostile peers of small swarms, each kind a class: liar (old records), poisoner (nonsense in every
// field), flooder (first packets and garbage, from forged addresses too). They know every honest
// peer. One thread.
#pragma once

#include <functional>
#include <map>

#include "dht/packet.h"
#include "tests/sim/fast_random.h"
#include "tests/sim/speaker.h"

namespace shoal::sim {

// Honest peers' contacts as they are now.
using Directory = std::function<std::vector<dht::Contact>()>;

struct HostileOptions {
  identity::Identity self;
  std::optional<identity::SwarmKey> swarm_key;
  std::uint64_t seed = 1;
  Directory directory;
  dht::TimePoint start;  // of its own clock
};

// Keeps the first version it sees of every record, answers with it, and hands it to random peers,
// always with the longest time to live.
class Liar final : public Speaker {
 public:
  explicit Liar(const HostileOptions& options);
  void handle_timeout(dht::TimePoint now) override;
  std::optional<dht::TimePoint> next_timeout() const override { return next_; }

 private:
  wire::DhtMessage heard(const Delivery& delivery, const wire::DhtMessage& message,
                         dht::TimePoint now) override;
  void keep(const wire::SignedRecord& record);

  const Directory directory_;
  FastRandom chance_;
  std::map<std::string, wire::SignedRecord> oldest_;  // by the signer's key
  dht::TimePoint next_;
};

// Answers with contacts that do not exist, records that nobody signed, pages without end, wrong
// bodies; stores such records, too.
class Poisoner final : public Speaker {
 public:
  explicit Poisoner(const HostileOptions& options);
  void handle_timeout(dht::TimePoint now) override;
  std::optional<dht::TimePoint> next_timeout() const override { return next_; }

 private:
  wire::DhtMessage heard(const Delivery& delivery, const wire::DhtMessage& message,
                         dht::TimePoint now) override;
  dht::Contact nonsense();
  wire::SignedRecord forged();

  const Directory directory_;
  FastRandom chance_;
  std::vector<wire::SignedRecord> seen_;
  std::vector<identity::PublicKey> keys_;  // of nobody
  dht::TimePoint next_;
};

// First packets, damaged datagrams and garbage at random honest peers, as many per second as it is
// told; with `forged` sources the answers go to somebody who never asked.
class Flooder final : public Speaker {
 public:
  Flooder(const HostileOptions& options, double datagrams_per_s,
          std::vector<proto::Endpoint> forged);
  void handle_datagram(std::string_view bytes, const proto::Endpoint& from,
                       dht::TimePoint now) override;
  void handle_timeout(dht::TimePoint now) override;
  std::optional<dht::TimePoint> next_timeout() const override { return next_; }
  std::optional<Outgoing> poll_transmit() override;

 private:
  wire::DhtMessage heard(const Delivery&, const wire::DhtMessage&, dht::TimePoint) override {
    return {};
  }
  std::string make(const dht::Contact& victim, dht::TimePoint now);

  const Directory directory_;
  const std::vector<proto::Endpoint> forged_;
  const dht::Duration interval_;
  const dht::Seal seal_;
  FastRandom chance_;
  std::vector<std::string> captured_;  // what others sent to us: good for replays
  std::vector<Outgoing> ready_;
  dht::TimePoint next_;
};

}  // namespace shoal::sim
