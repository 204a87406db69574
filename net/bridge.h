// SPDX-License-Identifier: Apache-2.0
// Carries bytes between a TLS stream on a socket and one end of a local socket pair whose other end
// gRPC has, and shows them to a FrameWatch. For both directions: connections that came in and those
// that we dialled. Bounded: what one side does not take, the other is not asked for. `Bridges` owns
// its threads and all connections; add() may be called from any thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "net/fault.h"
#include "net/frame_watch.h"
#include "net/tls_context.h"
#include "proto/types.h"

namespace shoal::net {

// How a bridge ended.
struct BridgeEnd {
  bool was_secured = false;  // else TLS never came up, and `status` says why
  bool spoke = false;        // at least one whole message came from the other end
  bool was_cut = false;      // by our gRPC, right after something came, and nobody said goodbye
  // It is cut for what may be a mistake: more metadata or more pings than gRPC takes.
  bool may_be_mistake = false;
  Fault fault = Fault::kNone;
  absl::Status status;  // of who dialled; OK when either side just closed
};

// Who wants to know. Called on a thread of the bridge's; must not block.
class BridgeOwner {
 public:
  virtual ~BridgeOwner() = default;
  // TLS is up and the peer proven. `local` is gRPC's end (non-blocking, close-on-exec): whoever
  // returns kNone owns it; after any other fault the bridge closes all.
  virtual Fault on_secured(const proto::PeerId& peer, int local) = 0;
  // The traffic before and after some bytes, which gRPC does not have yet if they came in.
  virtual Verdict on_traffic(const Traffic& /*before*/, const Traffic& /*after*/) { return {}; }
  // About once a second.
  virtual Fault on_tick() { return Fault::kNone; }
  // We hang up on it now; the connection may take a moment to end.
  virtual void on_hung_up(Fault fault) {}
  // TLS is up, for another protocol than gRPC's, as the plan allowed: the bridge has no more part
  // in the connection, and no on_ended() follows. Takes the socket, and itself.
  virtual void on_visitor(std::unique_ptr<BridgeOwner> self, int socket,
                          std::unique_ptr<TlsStream> tls);
  // Once, last.
  virtual void on_ended(const BridgeEnd& end) {}
};

struct BridgePlan {
  int socket = -1;                        // connected; becomes the bridge's
  const TlsContext* tls = nullptr;        // must outlive the bridge
  std::optional<proto::PeerId> expected;  // whom we dialled; nullopt: it was they who dialled
  bool takes_visitors = false;            // who speak another protocol that `tls` allows
  std::chrono::milliseconds handshake_timeout{proto::kConnectTimeoutMs};
  FrameLimits limits;
  std::unique_ptr<BridgeOwner> owner;
};

class Bridges {
 public:
  explicit Bridges(int threads);
  // Gives what gRPC wrote before it closed a moment to leave, then closes all.
  ~Bridges();
  Bridges(const Bridges&) = delete;
  Bridges& operator=(const Bridges&) = delete;

  void add(BridgePlan plan);
  std::size_t size() const;

 private:
  class Thread;
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace shoal::net
