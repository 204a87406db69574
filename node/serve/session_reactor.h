// SPDX-License-Identifier: Apache-2.0
// The client's stream of one session (gRPC callback API). Reads frames for the session, writes its
// frames in order with a bounded queue. Thread rule: gRPC's pool and the device's completer;
// guarded by a mutex that is never held while the session is called. Kept by the registry until
// OnDone.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <optional>

#include "net/caller.h"
#include "net/frame_queue.h"
#include "node/serve/links.h"
#include "node/serve/outbox_budget.h"
#include "node/serve/session.h"
#include "node/serve/stream_registry.h"

namespace shoal::wire {
class ClientFrame;
}

namespace shoal::node {

class SessionDesk;

class SessionReactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                             public ClientLink,
                             public Outlet,
                             public Stream,
                             public std::enable_shared_from_this<SessionReactor> {
 public:
  SessionReactor(SessionDesk& desk, grpc::CallbackServerContext& context, net::Caller client);

  void start();  // after the registry has it

  // ClientLink
  void send(wire::HopFrame frame) override;
  void resume() override;
  void end(std::optional<Refusal> refusal) override;
  // Outlet
  void overflow(const std::string& reason) override;
  // Stream
  void sweep(std::chrono::steady_clock::time_point now) override;
  // gRPC
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Clock = std::chrono::steady_clock;

  void open(const wire::Open& open);
  void on_frame(const wire::ClientFrame& frame);
  void fail(absl::StatusCode code, const std::string& reason);
  void pump();  // mutex_ held
  std::shared_ptr<Session> session() const;

  SessionDesk& desk_;
  grpc::CallbackServerContext& context_;
  const net::Caller client_;
  grpc::ByteBuffer in_;

  mutable std::mutex mutex_;
  std::shared_ptr<Session> session_;
  net::FrameQueue<OutboxBudget::Account> frames_;
  bool paused_ = false;  // nothing is being read
  bool ending_ = false;
  bool finished_ = false;
  grpc::Status status_;
  Clock::time_point deadline_;  // for the first frame; later for the end of the stream
};

}  // namespace shoal::node
