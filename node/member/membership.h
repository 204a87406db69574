// SPDX-License-Identifier: Apache-2.0
// A node's place in its swarm: the net thread, both sockets, the directory, the addresses by which
// others reach us, and our record. Thread rule: one thread (main) opens, joins, announces and
// leaves, and may wait; addresses(), directory() and the counts are for any thread while it lives,
// but for the net thread where that is said. Owns the net thread, which goes last.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "net/directory.h"
#include "net/front_stats.h"
#include "net/io_thread.h"
#include "net/punch_desk.h"
#include "net/relay.h"
#include "net/server.h"
#include "node/member/announcer.h"
#include "node/member/joiner.h"
#include "node/member/own_addresses.h"
#include "node/member/reach_keeper.h"
#include "node/member/reach_service.h"
#include "node/member/relay_keeper.h"
#include "proto/endpoint.h"

namespace shoal::node {

struct MembershipOptions {
  proto::Endpoint listen;
  std::optional<identity::SwarmKey> swarm_key;
  dht::UdpUse udp = dht::UdpUse::kAuto;
  std::string contacts_file;
  std::vector<proto::Endpoint> join;
  std::vector<std::string> join_names;
  std::optional<std::uint32_t> join_timeout_ms;
  std::vector<proto::Endpoint> announce;
  ReachMode reach = ReachMode::kAuto;
  bool may_map = true;
  bool always_ask_router = false;  // what it offers, though nothing need be mapped
  // What this node does for others who are not reached; absent: it relays nothing.
  std::optional<net::RelayOptions> relay = net::RelayOptions();
  const base::StopToken* cancelled = nullptr;  // of starting
  // While it joins: where nobody answers; "": somebody did.
  std::function<void(const std::string& addresses)> on_silence;
};

class Membership {
 public:
  // `identity` must outlive it.
  Membership(const identity::Identity& identity, MembershipOptions options);
  ~Membership();  // leave()
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // The sockets; what `services` answer may be nothing.
  absl::Status open(const std::vector<grpc::Service*>& services);
  // Whether there is somebody to join; without, a swarm of our own. A node without addresses to
  // join by that was in a swarm before has joined it again when open() returns, if somebody of it
  // answered.
  bool joins() const { return joiner_.has_value() || rejoined_; }
  bool rejoined() const { return rejoined_; }
  absl::Status join(const Joiner::AfterFailure& after_failure);
  // The directory asks the addresses that it knows again by itself; but a name may lead elsewhere
  // by now. About once a second.
  void rejoin_when_alone();
  // From records of the swarm that we joined: it may reach beyond this machine.
  void learn_others(std::span<const dht::Record> served);
  // Until it is known how others reach us, or time is up.
  void await_reach(std::chrono::milliseconds limit);

  // `sample` and `last_sequence`: see Announcer. Once, before the calls below.
  void start_announcing(Announcer::Sample sample, std::uint64_t last_sequence);
  // Waits until the record is stored, but not for ever; CANCELLED when the node is to stop.
  absl::Status announce();
  void announce_without_waiting();
  // Of what was announced last.
  std::uint64_t announced_sequence();
  // The same record again, above another's sequence; does not wait.
  void announce_over(std::uint64_t above);
  void withdraw();
  void stop_announcing();  // without a word; nothing is sampled any more

  // New connections find nobody here any more, nor does the directory; calls that are there go on,
  // for `grace` at most, and whoever has others makes a new connection for them. The port is free
  // for a successor. Nobody may use swarm(), find() or announce() from here on.
  void give_up_port(std::chrono::milliseconds grace);
  bool gave_up_port() const { return gave_up_port_; }
  // Calls end within `grace`, and nothing new is taken.
  void stop_server(std::chrono::milliseconds grace);
  // What ends waits early from now on.
  void set_stop(const base::StopToken& stop) { stop_ = &stop; }
  const base::StopToken& stop() const { return *stop_; }
  // Leaves the directory. Idempotent.
  void leave();

  net::IoThread& io() { return *io_; }
  net::Directory& swarm() { return *swarm_; }
  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key);
  // Our own, as the machine and --announce have them.
  std::vector<proto::Endpoint> addresses() const {
    return gave_up_port_ ? last_addresses_ : addresses_->list();
  }
  // By which others reach us, as our record says: those, a router's, relays'. Any thread.
  std::vector<proto::Address> announced() const;
  // Nothing before somebody looks.
  std::optional<ReachReport> reach() const;
  ReachKeeper* reach_keeper() { return reach_.get(); }
  std::uint16_t port() const { return port_; }
  // Not on the net thread; nullopt when that one is busy for seconds.
  std::optional<dht::DhtStats> directory() const;
  std::optional<net::FrontStats> front() const;
  std::optional<net::RelayStats> relay() const;

 private:
  void watch_addresses();
  void start_reach();
  net::PunchDeskOptions punch_options();
  std::vector<Helper> helpers();
  RelayHooks relay_hooks();
  std::vector<RelayCandidate> relay_candidates();  // on the net thread
  void rejoin();
  bool has_others() const;  // that may confirm something

  const identity::Identity& identity_;
  MembershipOptions options_;
  const base::StopToken never_;
  const base::StopToken* stop_ = &never_;
  std::optional<Joiner> joiner_;
  bool rejoined_ = false;
  std::chrono::steady_clock::time_point look_for_others_at_;
  std::atomic<bool> gave_up_port_ = false;
  std::vector<proto::Endpoint> last_addresses_;  // before that; read after it
  std::uint16_t port_ = 0;
  std::thread closing_;  // waits for the calls that are left, once the port is given up
  std::unique_ptr<net::IoThread> io_;
  std::unique_ptr<ReachService> reach_service_;
  std::unique_ptr<net::PunchDesk> punch_desk_;
  net::RunningServer server_;
  std::unique_ptr<net::Directory> swarm_;
  std::unique_ptr<OwnAddresses> addresses_;  // these two live and die on the net thread
  std::unique_ptr<Announcer> announcer_;
  base::Mutex others_mutex_;
  std::vector<Helper> others_ ABSL_GUARDED_BY(others_mutex_);  // nodes that we know from records
  base::Mutex relays_mutex_;
  std::vector<proto::Address> relays_ ABSL_GUARDED_BY(relays_mutex_);  // the rung's, for any thread
  std::unique_ptr<RelayRung> rung_;                                    // of the net thread
  std::unique_ptr<net::Relay> relay_;  // others' connections, until the end
  std::unique_ptr<ReachKeeper> reach_;
  ReachKeeper* reach_on_net_ = nullptr;  // the same, on the net thread
};

}  // namespace shoal::node
