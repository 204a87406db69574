// SPDX-License-Identifier: Apache-2.0
// The node's TCP port: accepts, refuses (net/gatekeeper), speaks TLS and watches frames
// (net/bridge), and hands clean connections to a gRPC server in this process; those of other
// protocols go to their door. Owns the port, its thread and those of the bridges. May be used from
// any thread; destroy it before the server.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "net/door.h"
#include "net/frame_watch.h"
#include "net/front_stats.h"
#include "net/gatekeeper.h"
#include "proto/endpoint.h"

namespace shoal::net {

struct FrontOptions {
  GateLimits gate;
  FrameLimits frames;
  int threads = 2;  // for TLS; connections are spread over them
};

class Front {
 public:
  // Takes the port. ALREADY_EXISTS when another program has it; every error names the address and
  // the way out.
  static absl::StatusOr<std::unique_ptr<Front>> open(
      const proto::Endpoint& listen, const identity::Identity& identity,
      const std::optional<identity::SwarmKey>& swarm_key, const FrontOptions& options = {});
  ~Front();

  const proto::Endpoint& endpoint() const;  // with the chosen port
  // Once: from now on connections are taken. The server must be started.
  void serve(grpc::Server& server);
  // A connected stream that came in elsewhere: refused, secured and watched like one of the port's,
  // but there is no door for it. Takes the socket. `relay`: it came through that one, and `from` is
  // its word, which counts for nothing but its own connections.
  void add(int socket, const proto::Endpoint& from,
           const std::optional<proto::PeerId>& relay = std::nullopt);
  // From now on connections of the port may speak `protocol`, ALPN's name, and go to `door`.
  void open_door(const std::string& protocol, Door door);
  // Returns when the door is not being called, and will not be again.
  void close_door(const std::string& protocol);
  // New connections are refused from now on; those that are there go on.
  void stop_accepting();
  // Ends all; what gRPC wrote before is still sent. Only stats() remain.
  void stop();
  FrontStats stats() const;

 private:
  class Impl;
  explicit Front(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
