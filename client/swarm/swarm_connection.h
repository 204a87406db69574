// SPDX-License-Identifier: Apache-2.0
// A client's place in the swarm: the DHT in client mode on its own `net` thread, and the channels
// to nodes. Owns both. Methods may be called from any thread but the net thread; they block up to
// their deadlines.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/random.h"
#include "base/stop_token.h"
#include "client/swarm/dht_health.h"
#include "client/swarm/peer_memory.h"
#include "dht/key.h"
#include "dht/record.h"
#include "dht/way_choice.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"

namespace shoal::net {
class ChannelPool;
class IoThread;
}  // namespace shoal::net

namespace shoal::client {

struct JoinOptions {
  std::vector<std::string> peers;  // HOST:PORT, at least one
  identity::Identity identity = identity::Identity::generate();
  std::optional<identity::SwarmKey> swarm_key;
  dht::UdpUse udp = dht::UdpUse::kAuto;
  // How long to wait for this machine's own network, when it is down; on_event is told so.
  std::chrono::milliseconds wait{0};
  std::function<void(const std::string&)> on_event{};
};

class SwarmConnection {
 public:
  // UNAVAILABLE names the addresses when none of them answers.
  static absl::StatusOr<std::unique_ptr<SwarmConnection>> join(JoinOptions options,
                                                               const base::StopToken& interrupt);
  ~SwarmConnection();

  identity::SwarmId swarm_id() const { return swarm_id_; }
  const identity::Identity& identity() const;
  // An empty answer is one: UNAVAILABLE when nobody answered at all, the addresses of join()
  // neither.
  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key,
                                                const base::StopToken& interrupt);
  // All at once; how many of them found a record, which health() counts too.
  absl::StatusOr<std::size_t> find_any(const std::vector<dht::Key>& keys,
                                       const base::StopToken& interrupt);
  // Of the table now, and of all finds so far.
  DhtHealth health(const base::StopToken& interrupt);

  PeerMemory& peers() { return peers_; }  // of all sessions over this connection
  net::ChannelPool& channels();
  net::IoThread& io();

 private:
  class Impl;
  SwarmConnection();
  std::unique_ptr<Impl> impl_;
  identity::SwarmId swarm_id_;
  PeerMemory peers_{base::random_seed()};
};

}  // namespace shoal::client
