// SPDX-License-Identifier: Apache-2.0
// The called end of hole punching: tells where it may be met, and dials the caller when it is told
// to, from its own listening port; what comes up goes to the front as what comes in there does.
// Dials no address but the one that the caller comes from, as a relay sees it, and for neighbours
// those of the own network (net/punch_plan.h). Thread-safe; `io` must outlive it and its calls.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "net/io_thread.h"
#include "proto/endpoint.h"
#include "proto/punch.grpc.pb.h"

namespace shoal::net {

struct PunchDeskOptions {
  // All on the io thread. Takes a connected socket.
  std::function<void(int socket, const proto::Endpoint& from)> add;
  // Where a relay sees the connection that leaves from our port, if one does.
  std::function<std::optional<proto::Endpoint>()> seen;
  // Addresses of this machine.
  std::function<std::vector<proto::Endpoint>()> own;
  // Whether our router gives our port another number towards each peer, as far as is known: then
  // nobody's packet has come to it, and a new one of ours does no harm.
  std::function<bool()> varies = [] { return false; };
  // Whether UDP comes through at all (first_punch_try).
  std::function<bool()> passes_udp = [] { return true; };
};

class PunchDesk final : public wire::PunchService::CallbackService {
 public:
  PunchDesk(IoThread& io, PunchDeskOptions options);
  ~PunchDesk() override;
  // Until then nobody is answered. `port`: the one that we listen on.
  void open(std::uint16_t port);
  // Nothing is dialled any more. Before what `options` refers to goes.
  void close();

  grpc::ServerUnaryReactor* Punch(grpc::CallbackServerContext* context,
                                  const wire::PunchRequest* request,
                                  wire::PunchReply* reply) override;
  grpc::ServerUnaryReactor* Go(grpc::CallbackServerContext* context, const wire::GoRequest* request,
                               wire::GoReply* reply) override;

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::net
