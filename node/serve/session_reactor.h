// SPDX-License-Identifier: Apache-2.0
// The client's stream of one session (gRPC callback API). Reads frames for the session, writes its
// frames in order with a bounded queue. Thread rule: gRPC's pool and the device's completer;
// guarded by a mutex that is never held while the session is called. Kept by the registry until
// OnDone.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>

#include "base/mutex.h"
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
  void pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Session> session() const;

  SessionDesk& desk_;
  grpc::CallbackServerContext& context_;
  const net::Caller client_;
  grpc::ByteBuffer in_;

  mutable base::Mutex mutex_;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  net::FrameQueue<OutboxBudget::Account> frames_ ABSL_GUARDED_BY(mutex_);
  OutboxBudget::Account& account_ = frames_.budget();  // guards itself
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;        // nothing is being read
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  // For the first frame; later for the end of the stream.
  Clock::time_point deadline_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
