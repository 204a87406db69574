// SPDX-License-Identifier: Apache-2.0
// A swarm of participants on virtual time: it jumps from event to event, and the same seed gives
// the same run, proven by a hash over every event. Owns peers, network and addresses. One thread;
// different swarms may live on different threads; with more threads a swarm has its own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "identity/random.h"
#include "kernels/cpu_executor.h"
#include "tests/sim/addresses.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/local_clock.h"
#include "tests/sim/network.h"
#include "tests/sim/participant.h"
#include "tests/sim/server.h"

namespace shoal::sim {

struct SwarmOptions {
  std::uint64_t seed = 1;
  LinkModel links;
  AddressKind addresses = AddressKind::kPrivate;
  // More than one: honest peers that are due within the shortest way between any two are advanced
  // at once, and what they did is carried out in order. The run is the same. Callbacks of
  // operations may then touch their own peer only, and nobody may observe.
  int threads = 1;
};

using Config = std::shared_ptr<const dht::KademliaConfig>;  // one for many peers
using Done = std::function<void(const dht::Event&)>;
using Action = std::function<void()>;

// Told of what happens; for invariants and accounts.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_sent(PeerIndex from, const proto::Endpoint& source, const dht::Datagram&) = 0;
  virtual void on_delivered(PeerIndex to, const proto::Endpoint& source, std::size_t bytes) = 0;
  virtual void on_handled(PeerIndex peer) = 0;  // after each event of an honest peer
  virtual void on_event(PeerIndex peer, const dht::Event& event) = 0;
  virtual void on_publish(PeerIndex peer, const wire::SignedRecord& record) = 0;  // by its owner
};

// Bugs on purpose: what it changes between a peer and the world, so that tests can prove that
// checks find it.
class Tamper {
 public:
  virtual ~Tamper() = default;
  virtual int copies(PeerIndex, const dht::Datagram&) { return 1; }  // of a datagram it sends
  virtual int endings(PeerIndex, dht::Event&) { return 1; }          // of one of its operations
};

class Swarm {
 public:
  explicit Swarm(const SwarmOptions& options);

  // An honest peer, up. Its identity and everything it draws come from the seed.
  PeerIndex add(Config config = nullptr);  // none: what programs run
  PeerIndex add_at(const proto::Endpoint& endpoint, const identity::Identity& identity,
                   Config config = nullptr);
  PeerIndex add(std::unique_ptr<Participant> actor, const proto::Endpoint& endpoint,
                const identity::Identity& identity);
  identity::Identity draw_identity();

  void crash(PeerIndex peer);  // silent from now on; its state is gone
  // Honest: same identity and address, knowing nobody.
  void restart(PeerIndex peer);
  void restart(PeerIndex peer, const identity::Identity& identity);
  void set_config(PeerIndex peer, Config config);  // from its next start on
  void forget(PeerIndex peer);  // its state is lost in the middle of its life: a bug on purpose
  void move(PeerIndex peer);    // to another address; it keeps its state
  void pause(PeerIndex peer, dht::Duration duration);  // its socket buffers a little meanwhile
  void set_clock(PeerIndex peer, double rate);         // before its first event
  void jump_clock(PeerIndex peer, dht::Duration forward);
  void limit(PeerIndex peer, double datagrams_per_s, std::size_t queue);

  // Each ends in one event: `done` is called with it, or without `done` wait() takes it.
  dht::OperationId bootstrap(PeerIndex peer, const std::vector<PeerIndex>& at,
                             dht::Duration timeout = dht::seconds(10), Done done = {});
  dht::OperationId find(PeerIndex peer, const dht::Key& key, Done done = {}, bool secure = false);
  // Signs with the peer's next sequence number; no keys: all that the record proves.
  dht::OperationId publish(PeerIndex peer, dht::Record record, std::vector<dht::Key> keys = {},
                           Done done = {});
  void restore(PeerIndex peer, const std::vector<dht::Contact>& contacts, bool verified);

  void at(dht::TimePoint when, Action action);
  void after(dht::Duration delay, Action action) { at(now_ + delay, std::move(action)); }
  bool step(dht::TimePoint until);           // one event; false: none is due by then
  bool step_together(dht::TimePoint until);  // several, on all threads; else likewise
  void run_until(dht::TimePoint when);
  void run_for(dht::Duration duration) { run_until(now_ + duration); }
  // Runs until the operation has ended and takes its event; nullopt after `limit`.
  std::optional<dht::Event> wait(PeerIndex peer, dht::OperationId id,
                                 dht::Duration limit = dht::seconds(30));
  // Hands in bytes as if they came from `from`, at once.
  void inject(PeerIndex to, std::string_view bytes, const proto::Endpoint& from);
  // Bytes that somebody sends in the name of `source`, arriving now.
  void forge(const proto::Endpoint& to, std::string_view bytes, const proto::Endpoint& source);
  // Something outside changed the peer: sends what it has to send, sets its timer.
  void touch(PeerIndex peer) { drain(peer); }

  std::size_t size() const { return peers_.size(); }
  bool is_up(PeerIndex peer) const { return peers_[peer].actor != nullptr; }
  bool is_honest(PeerIndex peer) const { return peers_[peer].honest; }
  dht::Kademlia& core(PeerIndex peer) { return *in_step(peer).core; }  // of an honest one, up
  const identity::Identity& identity(PeerIndex peer) const { return peers_[peer].identity; }
  const proto::Endpoint& endpoint(PeerIndex peer) const { return peers_[peer].endpoint; }
  dht::Contact contact(PeerIndex peer) const;
  PeerIndex find_peer(const proto::Endpoint& endpoint) const { return book_.find(endpoint); }
  dht::TimePoint local_time(PeerIndex peer) const { return peers_[peer].clock.local(now_); }
  const dht::KademliaConfig& config(PeerIndex peer) const { return *peers_[peer].config; }
  const LocalClock& clock(PeerIndex peer) const { return peers_[peer].clock; }
  std::uint32_t life(PeerIndex peer) const { return peers_[peer].generation; }
  std::uint32_t cores(PeerIndex peer) const {
    return peers_[peer].cores;
  }  // operation ids are of one
  std::uint64_t sequence(PeerIndex peer) const { return peers_[peer].sequence; }
  std::uint64_t sent(PeerIndex peer) const { return peers_[peer].sent; }
  std::uint64_t received(PeerIndex peer) const { return peers_[peer].received; }
  const Server* server(PeerIndex peer) const { return peers_[peer].server.get(); }

  dht::TimePoint now() const { return now_; }
  Network& network() { return network_; }
  AddressPlan& addresses() { return plan_; }
  FastRandom& random() { return random_; }
  void observe(Observer* observer) {
    observer_ = observer;
  }  // outlives the swarm, or is taken back
  void tamper(Tamper* tamper) { tamper_ = tamper; }
  std::uint64_t trace_hash() const { return trace_hash_; }
  std::uint64_t events() const { return events_; }
  std::uint64_t datagrams() const { return datagrams_; }  // sent by anybody
  std::uint64_t datagram_bytes() const { return datagram_bytes_; }

 private:
  struct Peer {
    explicit Peer(const identity::Identity& of) : identity(of) {}
    identity::Identity identity;
    proto::Endpoint endpoint;
    bool honest = true;
    std::unique_ptr<Participant> actor;
    dht::Kademlia* core = nullptr;
    Config config;
    LocalClock clock;
    std::uint32_t generation = 0;                   // timers of an earlier life are void
    std::uint32_t cores = 0;                        // that it has had
    std::uint32_t moves = 0;                        // datagrams to an earlier address are lost
    dht::TimePoint timer = dht::TimePoint::max();   // in the queue
    dht::TimePoint wanted = dht::TimePoint::max();  // when it is next due, never before `timer`
    dht::TimePoint paused_until{};
    std::uint32_t buffered = 0;
    std::uint32_t spins = 0;  // time-outs at one instant
    bool planned = false;     // an event of its is in the batch: its core may be ahead of the world
    std::unique_ptr<Server> server;
    std::uint64_t sequence = 0, sent = 0, received = 0;
    std::vector<std::pair<dht::OperationId, Done>> waiting;
    std::vector<dht::Event> done;
  };
  // What a peer made of a datagram or of its timer: all that the world has to know.
  struct Turn {
    std::vector<Outgoing> outgoing;
    std::vector<dht::Event> events;
    std::optional<dht::TimePoint> next_timeout;
    bool due = true;         // a timer's: the peer was due
    bool still_due = false;  // and is so again at once
  };
  struct Next {
    enum Kind : std::uint32_t { kArrive, kServe, kTimer, kAction } kind;
    PeerIndex peer;
    std::uint32_t slot;  // of a datagram or an action
    std::uint32_t mark;  // generation of a timer, moves of a datagram
  };
  struct Planned {
    Next next;
    dht::TimePoint when;
    bool ahead = false;  // its turn is taken already
    Turn turn;
  };
  struct InFlight {
    std::string bytes;
    proto::Endpoint from;
    PeerIndex sender;
  };

  PeerIndex insert(const proto::Endpoint& endpoint, const identity::Identity& identity);
  void start(PeerIndex index);
  void drain(PeerIndex index);
  void transmit(PeerIndex from, Outgoing outgoing);
  void launch(PeerIndex from, const proto::Endpoint& source, dht::Datagram datagram);
  void handle(PeerIndex index, std::string_view bytes, const proto::Endpoint& from);
  void dispatch(const Next& next, Turn* taken);
  void plan(dht::TimePoint until);
  bool reaches_core(const Next& next, dht::TimePoint when) const;
  Turn& take_turn(const Next& next, dht::TimePoint when, Turn& turn) const;
  static void collect(const Peer& peer, Turn& turn);
  void carry_out(PeerIndex index, Turn& turn);
  void finish(PeerIndex index, dht::Event event);
  void expect(PeerIndex index, dht::OperationId id, Done done);
  void arrive(const Next& next, Turn* taken);
  void deliver(const Next& next, Turn* taken);
  void fire(const Next& next, Turn* taken);
  void foresee(const Next& next) const;
  void hash(std::uint64_t value) { trace_hash_ = mix(trace_hash_ ^ value); }
  std::uint32_t take_slot();
  // A peer that somebody looks at or changes from outside: not while its core is ahead.
  Peer& in_step(PeerIndex index) {
    CHECK(!peers_[index].planned) << "peer " << index << " is ahead of the world";
    return peers_[index];
  }

  Network network_;
  AddressPlan plan_;
  AddressBook book_;
  FastRandom random_;
  dht::TimePoint now_{dht::seconds(1000)};
  std::deque<Peer> peers_;                   // stays in place while callbacks add more
  std::vector<const dht::Kademlia*> cores_;  // of peers_, close together
  Config default_config_;
  EventQueue<Next> queue_;
  std::unique_ptr<kernels::CpuExecutor> executor_;  // none with one thread
  std::vector<Planned> batch_;                      // its first planned_ are in use
  std::size_t planned_ = 0;
  Turn turn_;  // of an event that is handled by itself
  std::vector<InFlight> in_flight_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Action> actions_;
  std::vector<std::uint32_t> free_actions_;
  Observer* observer_ = nullptr;
  Tamper* tamper_ = nullptr;
  std::uint64_t events_ = 0, datagrams_ = 0, datagram_bytes_ = 0;
  std::uint64_t trace_hash_ = 1;
};

}  // namespace shoal::sim
