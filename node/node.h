// SPDX-License-Identifier: Apache-2.0
// A volunteer's node, whole: joins the swarm, loads its span, serves sessions, announces itself,
// drains. Also the bootstrap node, which is a DHT member without blocks. Usable in process; several
// may live in one. Thread rule: one thread starts and stops it (that thread may wait); the
// accessors are for any thread. Owns all threads and sockets. Order of construction and of
// stopping: docs/design.md, section 8.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_size.h"
#include "base/stop_token.h"
#include "dht/way_choice.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "kernels/kv_dtype.h"
#include "model/block_cache.h"
#include "model/weight_choice.h"
#include "node/device/executors.h"
#include "node/end_choice.h"
#include "node/hub_span.h"
#include "node/member/ladder.h"
#include "node/member/rebalance.h"
#include "node/metrics/node_stats.h"
#include "proto/endpoint.h"
#include "proto/limits.h"
#include "proto/offer.h"
#include "proto/types.h"

namespace shoal::node {

class Account;

struct NodeOptions {
  std::string model_directory;  // empty: a bootstrap node
  std::string model_name;       // empty: the folder's name
  FetchSpan fetch_span;  // the folder says what the model is; blocks come when they are chosen
  std::optional<proto::Span> blocks;  // absent: as many as fit, where they are needed most
  std::vector<proto::Endpoint> join;
  // "HOST:PORT", looked up while joining, again and again. Neither these nor `join`: a new swarm.
  std::vector<std::string> join_names;
  bool add_model = false;  // a second model for a swarm that serves another
  proto::Endpoint listen;  // [::]:0, both families; a machine without IPv6 uses the other
  // Where others reach us, when that is not what we listen on; at most four. Port 0: listen's.
  std::vector<proto::Endpoint> announce;
  ReachMode reach = ReachMode::kAuto;
  // Of bytes carried for nodes that are not reached, Mbit/s in all; absent: none is.
  std::optional<std::uint32_t> relay_mbit = proto::kRelayMbit;
  identity::Identity identity = identity::Identity::generate();
  std::optional<identity::SwarmKey> swarm_key;
  dht::UdpUse udp = dht::UdpUse::kAuto;
  std::string contacts_file;  // where the DHT's contacts outlive this run; empty: nowhere
  std::optional<proto::Endpoint> metrics;  // where metrics are served over HTTP
  OpenDevices open_devices;                // absent: the CPU
  int threads = 0;                         // of the CPU; 0: one per available core
  std::optional<std::int64_t> kv_positions;
  kernels::KvDType kv_dtype = kernels::KvDType::kF32;
  // Absent: auto, the widest with which the span fits into the memory.
  std::optional<model::WeightChoice> weights = model::WeightChoice::kStored;
  EndsMode ends = EndsMode::kAuto;         // of the model, that it serves too
  model::CacheOptions cache;               // of packed weights; without a folder, none
  std::optional<base::MemorySize> memory;  // the most that this process may take
  // Where the nodes of this machine tell each other what they keep of it; empty: nowhere.
  std::string memory_ledger;
  // Moves by itself to blocks that need it more; absent: never. --blocks are never left.
  std::optional<RebalancePace> rebalance = RebalancePace{};
  std::uint32_t max_sessions = proto::kMaxSessions;
  std::uint32_t max_sessions_per_peer = proto::kMaxSessionsPerPeer;
  std::string public_name;
  std::optional<std::uint32_t> join_timeout_ms = 8'000;  // nullopt: tries for ever
  const base::StopToken* cancelled = nullptr;            // stopped to give up starting
  // Told, while it starts, at which addresses nobody of the swarm answers; "": somebody did.
  std::function<void(const std::string& addresses)> on_silence;
  Account* account = nullptr;  // of what it does; must outlive it. Null: nobody keeps it
};

class Node {
 public:
  // Returns when the node is online: its record is in the DHT. Every error is one sentence that
  // names the way out.
  static absl::StatusOr<std::unique_ptr<Node>> start(NodeOptions options);
  ~Node();  // stops at once
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  proto::Endpoint endpoint() const;  // its own: the best of those announced now
  // For people, behind "is online": "at 192.0.2.1:7000", or "via relay 192.0.2.1:7000".
  std::string place() const;
  // How others reach it, for people: "direct", "mapped by UPnP", "through relays ..."; may be
  // empty.
  std::string reach() const;
  std::uint16_t port() const;  // of TCP and UDP
  const proto::PeerId& peer_id() const;
  proto::Span span() const;  // empty for a bootstrap node; another one after a move
  proto::Ends ends() const;  // that it serves
  const std::string& model_name() const;
  const proto::Digest& model_digest() const;
  NodeStats stats() const;
  std::optional<proto::Endpoint> metrics() const;  // where they are served

  // What needs a look now and then, about once a second. An error, one sentence: the node cannot go
  // on; stop it.
  absl::Status tend();

  // Of sessions at a time, from now on; those that there are stay.
  void set_limits(std::uint32_t max_sessions, std::uint32_t max_sessions_per_peer);
  // For a successor of the same identity on this machine: leaves the port and the directory without
  // withdrawing the record, and refuses new sessions. Those that there are go on, for as long at
  // most; drain_and_stop() comes next.
  void hand_over(std::uint32_t drain_timeout_ms);
  // For a node that is paused by its owner, in this order: takes no new session, and says so to the
  // swarm; ends those that are left, and withdraws; serves again. The device, the KV and the
  // directory stay.
  void drain(const std::string& reason);
  void pause(const std::string& reason);
  void resume();

  // Refuses new sessions, lets the old ones finish for at most drain_timeout_ms (less when hurry is
  // stopped), withdraws the record and stops. Idempotent.
  void drain_and_stop(std::uint32_t drain_timeout_ms, const base::StopToken* hurry = nullptr);

 private:
  class Impl;
  explicit Node(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::node
