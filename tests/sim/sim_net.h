// SPDX-License-Identifier: Apache-2.0
// A virtual network and clock for the real DHT core: time jumps from event to event, and the same
// seed gives the same run, proven by a hash over every delivered datagram. Owns its peers. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dht/kademlia.h"

namespace shoal::sim {

struct LinkModel {
  double median_rtt_ms = 80;  // per pair, log-normal
  double sigma = 0.6;
  double jitter = 0.1;     // of the one-way delay, per datagram: reorders
  double loss = 0;         // per datagram
  double duplication = 0;  // per datagram
};

using PeerIndex = std::size_t;

class SimNet {
 public:
  SimNet(std::uint64_t seed, LinkModel links);

  struct Options {
    bool client_mode = false;
    std::optional<dht::SwarmKey> swarm_key;
  };
  PeerIndex add(const Options& options);
  PeerIndex add() { return add(Options{}); }
  void crash(PeerIndex peer);    // silent from now on; its state is gone
  void restart(PeerIndex peer);  // the same identity and address, knowing nobody
  // Peers of different groups cannot hear each other; all start in group 0.
  void set_group(PeerIndex peer, int group);
  void set_loss(double loss) { links_.loss = loss; }

  dht::OperationId bootstrap(PeerIndex peer, const std::vector<PeerIndex>& at,
                             dht::Duration timeout = dht::seconds(10));
  dht::OperationId find(PeerIndex peer, const dht::Key& key);
  // Signs with the peer's next sequence number.
  dht::OperationId publish(PeerIndex peer, dht::Record record);

  void run_for(dht::Duration duration);
  // Runs until the operation has ended and takes its event; nullopt after `limit`.
  std::optional<dht::Event> wait(PeerIndex peer, dht::OperationId id,
                                 dht::Duration limit = dht::seconds(30));
  // Hands in bytes as if they came from `from`, at once.
  void inject(PeerIndex to, const std::string& bytes, const proto::Endpoint& from);

  bool is_up(PeerIndex peer) const { return peers_[peer].core != nullptr; }
  dht::Kademlia& core(PeerIndex peer) { return *peers_[peer].core; }
  const dht::Identity& identity(PeerIndex peer) const { return peers_[peer].identity; }
  proto::Endpoint endpoint(PeerIndex peer) const;
  std::size_t size() const { return peers_.size(); }
  dht::TimePoint now() const { return now_; }
  dht::Random& random() { return random_; }
  std::uint64_t trace_hash() const { return trace_hash_; }
  std::uint64_t events() const { return event_count_; }
  std::uint64_t datagrams_sent(PeerIndex peer) const { return peers_[peer].sent; }
  // What the last run_*() saw delivered to `peer`: for tests about captured traffic.
  void capture(bool on) { capturing_ = on; }
  struct Captured {
    PeerIndex from, to;
    std::string bytes;
  };
  const std::vector<Captured>& captured() const { return captured_; }

 private:
  struct Peer {
    dht::Identity identity;
    Options options;
    std::unique_ptr<dht::Kademlia> core;
    std::uint64_t generation = 0;  // timers of an earlier life are void
    std::optional<dht::TimePoint> timer;
    int group = 0;
    std::uint64_t sequence = 0;
    std::uint64_t sent = 0;
    std::map<dht::OperationId, dht::Event> done;
  };
  struct Pending {
    PeerIndex to = 0;
    std::optional<PeerIndex> from;  // none: a timer
    std::uint64_t generation = 0;
    std::string bytes;
  };

  void start(PeerIndex peer);
  void drain(PeerIndex peer);
  void transmit(PeerIndex from, const dht::Datagram& datagram);
  void schedule(dht::TimePoint when, Pending event);
  bool step(dht::TimePoint until);
  void hash(std::uint64_t value);
  dht::Duration one_way(PeerIndex a, PeerIndex b);

  const std::uint64_t seed_;
  LinkModel links_;
  dht::Random random_;
  dht::TimePoint now_{dht::seconds(1000)};
  std::vector<Peer> peers_;
  std::map<std::pair<dht::TimePoint, std::uint64_t>, Pending> queue_;
  std::uint64_t next_event_ = 0;
  std::uint64_t event_count_ = 0;
  std::uint64_t trace_hash_ = 14695981039346656037u;
  bool capturing_ = false;
  std::vector<Captured> captured_;
};

}  // namespace shoal::sim
