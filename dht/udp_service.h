// SPDX-License-Identifier: Apache-2.0
// The Asio shell of the DHT: gives one Kademlia state machine a UDP socket, connections instead
// where UDP does not pass, a timer and the steady clock. Thread rule: open() anywhere; every other
// method on the io_context's thread; callbacks run there too. Owns the socket and the Kademlia
// core. Destroy on the io thread, or after the io_context has stopped.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "dht/contact.h"
#include "dht/datagram_tunnels.h"
#include "dht/observed_addresses.h"
#include "dht/record.h"
#include "dht/stats.h"
#include "dht/way_choice.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "proto/endpoint.h"

namespace boost::asio {
class io_context;
}

namespace shoal::dht {

struct UdpServiceOptions {
  proto::Endpoint listen;                       // port 0 picks one
  bool client_mode = false;                     // answers nothing, enters no table
  std::optional<identity::SwarmKey> swarm_key;  // private swarm: strangers get no answer at all
  // Where the table outlives this run: read by open(), written every ten minutes and at the end.
  // Empty: nowhere. `warn` gets a sentence when the file is damaged or cannot be written.
  std::string table_file = {};
  // Nobody in that file is asked before recall().
  bool hold_table = false;
  std::function<void(const std::string&)> warn = {};
  // Told when strangers turn out not to reach this peer, so that it goes on in client mode, and
  // when they do again. On the io thread; must not destroy the service.
  std::function<void(bool reachable)> on_reachable = {};
  // The other way of datagrams, and whether there is UDP at all; without tunnels there is. Several
  // services never share one.
  std::shared_ptr<DatagramTunnels> tunnels = {};
  UdpUse udp = UdpUse::kAuto;
  // Told when datagrams go through connections from now on, as nobody answers by UDP, and when they
  // go by UDP again. As on_reachable, which is not told of that.
  std::function<void(bool tunnelled)> on_tunnelled = {};
};

using DhtStats = KademliaStats;

// What others' datagrams tell of our addresses.
struct Sightings {
  std::vector<ObservedAddress> observed;  // where they see us
  std::vector<proto::Endpoint> met;       // addresses of ours at which other machines reach us
};

class UdpService {
 public:
  // ALREADY_EXISTS when the port is taken; the message names the address and the way out.
  static absl::StatusOr<std::unique_ptr<UdpService>> open(boost::asio::io_context& io,
                                                          const identity::Identity& identity,
                                                          const UdpServiceOptions& options);
  ~UdpService();
  UdpService(const UdpService&) = delete;
  UdpService& operator=(const UdpService&) = delete;

  proto::Endpoint local_endpoint() const;
  identity::SwarmId swarm_id() const;
  const proto::PeerId& peer_id() const;

  // Contacts `peers` until one answers and the own neighbourhood is known; UNAVAILABLE, naming the
  // addresses, when none answers within timeout_ms (wrong address, not running, or another swarm
  // key: silence is all one sees).
  void bootstrap(std::vector<proto::Endpoint> peers, std::uint32_t timeout_ms,
                 std::function<void(absl::Status)> done);

  // Of a table that is held: whether there is somebody in it.
  bool holds_table() const;
  // From now on its peers are checked, and asked by every bootstrap(), as those of a table that is
  // not held. How many.
  std::size_t recall();
  // Whether somebody answered at an address that bootstrap() was ever given.
  bool is_answered_at_joined() const;

  // All live records under `key`, verified, at most one per peer, newest first seen wins; includes
  // our own. Withdrawn records (state offline) are not returned. Empty when there are none, and
  // when nobody answered: `answered` says how many peers did.
  struct Found {
    std::vector<Record> records;
    std::size_t answered = 0;
  };
  void look_up(const Key& key, std::function<void(Found)> done);
  void find(const Key& key, std::function<void(std::vector<Record>)> done);

  // Stores `record` at the closest peers of every key (and here, when we are among them). `done`
  // gets the number of peers that accepted the least-replicated key; 0 is normal for the only
  // member of a swarm.
  void publish(const wire::SignedRecord& record, std::vector<Key> keys,
               std::function<void(int)> done);

  Sightings sightings() const;
  // All addresses of this machine. When they are others than last time, peers are told where we are
  // now, and what was observed before is forgotten.
  void set_own_addresses(std::vector<proto::Endpoint> own);

  DhtStats stats() const;
  // Whether nobody is asked by UDP.
  bool is_tunnelled() const;

  // Peers that answered lately, at most so many, in no order.
  std::vector<Contact> contacts(std::size_t most) const;
  // Whether a router gives our port one number towards all others (ObservedPorts).
  ObservedPorts observed_ports(bool v4) const;
  // What others found of our UDP port (Kademlia::tell_reachable).
  void tell_reachable(std::optional<bool> reachable);

 private:
  class Impl;
  explicit UdpService(std::shared_ptr<Impl> impl);

  const std::shared_ptr<Impl> impl_;  // shared with its pending handlers
};

}  // namespace shoal::dht
