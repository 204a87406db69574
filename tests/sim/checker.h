// SPDX-License-Identifier: Apache-2.0
// The invariants of the directory, looked at after every event of an honest peer: no accepted
// record that its owner did not sign, older than one before it, or past its time; bounded tables;
// answers no longer than three times what an unproven address sent. Remembers the first violation.
#pragma once

#include <map>
#include <unordered_map>

#include "tests/sim/swarm.h"

namespace shoal::sim {

struct Violation {
  std::string what;
  dht::TimePoint when;
};

class Checker final : public Observer {
 public:
  struct Options {
    // How much longer than its time a record may live: datagrams under way, clocks that run slow.
    dht::Duration slack = dht::seconds(10);
    bool liars = false;  // old records come again with a full time to live, as the protocol says
  };
  Checker(Swarm& swarm, const Options& options);

  void add_ghost(const proto::Endpoint& endpoint);  // an address that never sends anything itself
  void check_found(PeerIndex peer, const dht::Key& key, const dht::Event& event);
  void check_bounds(PeerIndex peer);
  void forgive(PeerIndex peer);  // it may hold older records than it did
  // Sees every datagram that is sent.
  using Tap = std::function<void(const proto::Endpoint& source, const dht::Datagram&)>;
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  void violate(std::string what);
  const std::optional<Violation>& violation() const { return violation_; }

  void on_sent(PeerIndex from, const proto::Endpoint& source, const dht::Datagram&) override;
  void on_delivered(PeerIndex to, const proto::Endpoint& source, std::size_t bytes) override;
  void on_handled(PeerIndex peer) override;
  void on_event(PeerIndex peer, const dht::Event& event) override;
  void on_publish(PeerIndex peer, const wire::SignedRecord& record) override;

 private:
  struct Version {
    std::string payload;
    dht::TimePoint published;
    std::uint32_t ttl_ms = 0;
    bool withdrawn = false;
    proto::Digest model;
  };
  struct Held {
    std::uint64_t sequence = 0;
    dht::TimePoint expires;   // by the holder's clock
    dht::TimePoint deadline;  // by the world's, with slack
  };
  struct View {  // of one peer's store, in one life
    std::uint32_t life = 0;
    std::map<proto::PeerId, Held> held;
    std::uint64_t changes = 0;  // of the store, when it was looked at
    std::uint32_t handled = 0;
  };
  struct Bytes {
    std::uint64_t in = 0, out = 0;
  };

  const Version* find(const proto::PeerId& subject, std::uint64_t sequence) const;
  void check_store(PeerIndex peer, View& view);
  void check_entry(PeerIndex peer, const dht::RecordStore::Entry& entry, Held& held);
  std::string name(PeerIndex peer) const;

  Swarm& swarm_;
  const Options options_;
  std::unordered_map<proto::PeerId, std::map<std::uint64_t, Version>, proto::FixedBytesHash>
      signed_;
  std::vector<View> views_;
  std::map<proto::Endpoint, std::map<PeerIndex, Bytes>> ghosts_;
  std::map<std::pair<PeerIndex, std::uint32_t>, std::map<dht::OperationId, int>> ended_;
  Tap tap_;
  std::optional<Violation> violation_;
};

}  // namespace shoal::sim
