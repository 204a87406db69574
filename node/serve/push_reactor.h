// SPDX-License-Identifier: Apache-2.0
// The previous hop's stream of one session (gRPC callback API): admits it by token and peer id,
// then hands its steps to the session. Accepting is told by the initial metadata. Thread rule as
// SessionReactor.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "base/mutex.h"
#include "node/serve/links.h"
#include "node/serve/session_table.h"
#include "node/serve/stream_registry.h"

namespace shoal::wire {
class PushOpen;
}

namespace shoal::node {

class SessionDesk;

class PushReactor final : public grpc::ServerReadReactor<grpc::ByteBuffer>,
                          public PreviousLink,
                          public PushWaiter,
                          public Stream,
                          public std::enable_shared_from_this<PushReactor> {
 public:
  PushReactor(SessionDesk& desk, proto::PeerId caller);

  void start();
  void finish(grpc::Status status);

  // PreviousLink
  void resume() override;
  void end() override;
  // PushWaiter
  void session_ready(std::shared_ptr<Session> session) override;
  void give_up() override;
  // Stream
  void sweep(std::chrono::steady_clock::time_point now) override;
  // gRPC
  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void open(const wire::PushOpen& open);
  void read_next();

  SessionDesk& desk_;
  const proto::PeerId caller_;
  grpc::ByteBuffer in_;
  std::string token_;

  base::Mutex mutex_;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  bool opened_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is being read
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  const std::chrono::steady_clock::time_point deadline_;  // for the first frame
};

}  // namespace shoal::node
