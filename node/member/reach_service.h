// SPDX-License-Identifier: Apache-2.0
// ReachService of proto/reach_service.proto: dials back whoever asks, at the address that its own
// connection comes from and at no other, from fresh ports, and says whether it was there. Any
// thread; dials on the net thread. Owns its connections for as long as they are tried. Stop it
// before the gRPC server, and destroy it after. docs/reachability.md.
#pragma once

#include <memory>
#include <optional>

#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "net/io_thread.h"
#include "node/member/dial_back_budget.h"

namespace grpc {
class Service;
}

namespace shoal::node {

class ReachService {
 public:
  // `io` must outlive it.
  ReachService(net::IoThread& io, const identity::Identity& identity,
               const std::optional<identity::SwarmKey>& swarm_key,
               const DialBackLimits& limits = {});
  ~ReachService();
  ReachService(const ReachService&) = delete;
  ReachService& operator=(const ReachService&) = delete;

  grpc::Service& calls();  // what the gRPC server registers
  // Ends what is under way, and takes nothing new. Not on the net thread.
  void stop();

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::node
