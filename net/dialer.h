// SPDX-License-Identifier: Apache-2.0
// Makes every outgoing connection: one thread, on which all of them are dialled, secured and
// bridged to gRPC. Thread-safe. Owns the connections; those that are left end with it.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "identity/certificate.h"
#include "identity/swarm_key.h"
#include "net/outgoing.h"
#include "proto/types.h"

namespace shoal::net {

class Dialer {
 public:
  // `every_second` is called on the dialler's thread.
  Dialer(const identity::Certificate& own, const std::optional<identity::SwarmKey>& swarm_key,
         std::function<void()> every_second);
  ~Dialer();

  struct Dialled {
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<Outgoing> connection;  // null: this process has no descriptor left
  };
  // Never blocks. Calls may be made at once; they wait for the connection, or for its failure.
  Dialled dial(const proto::PeerId& peer, const std::vector<proto::Address>& addresses,
               const std::optional<proto::Address>& worked_last);
  // A channel on which every call ends with `why`.
  Dialled refuse(const proto::PeerId& peer, const absl::Status& why);
  // Tries to reach a peer directly, from the port of a connection to a relay by which `channel`
  // reaches it (net/puncher.h). `done`, on the dialler's thread: with the direct connection, which
  // is up, or why there is none.
  void meet(const proto::PeerId& peer, const std::shared_ptr<grpc::Channel>& channel,
            const Outgoing::Relayed& from,
            const std::function<void(absl::StatusOr<Dialled>)>& done);
  // More addresses of a peer that is being dialled.
  void add(const std::shared_ptr<Outgoing>& connection,
           const std::vector<proto::Address>& addresses);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
