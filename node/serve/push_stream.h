// SPDX-License-Identifier: Apache-2.0
// Our stream to the next hop of one session (gRPC callback API): opened with the session, so that
// the first token does not pay for the connection. Its end, unless we asked for it, fails the
// session and names the next hop; a peer that we never reached is named only at a fixed time
// (docs/protocol.md, section 5). Thread rule as SessionReactor. Kept by the registry until OnDone.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "net/frame_queue.h"
#include "node/serve/links.h"
#include "node/serve/outbox_budget.h"
#include "node/serve/session.h"
#include "node/serve/stream_registry.h"

namespace shoal::wire {
class PushOpen;
}

namespace shoal::node {

class PushStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public NextLink,
                         public Outlet,
                         public Stream,
                         public std::enable_shared_from_this<PushStream> {
 public:
  // Whether the next hop has proven its identity on the connection that this stream uses.
  using Reached = std::function<bool()>;
  // Runs what it is given a moment later, on another thread.
  using Later = std::function<void(std::function<void()>)>;

  static std::shared_ptr<PushStream> create(StreamRegistry& registry, OutboxBudget& budget,
                                            std::shared_ptr<Session> session);

  // After the registry has it; the caller holds a reference. `proven`: the peer was reached before
  // at each address, so that a failure may be told at once.
  void start(const std::shared_ptr<grpc::Channel>& channel, const wire::PushOpen& open, bool proven,
             Reached reached, Later later);
  // kNextHopAnswerMs after the session was opened: fails it unless the next hop has been reached.
  // True when it had not.
  bool judge();

  // NextLink
  void send(wire::PushFrame frame) override;
  std::size_t queued_bytes() const override { return account_.bytes(); }
  void end() override;
  // Outlet
  void overflow(const std::string& reason) override;
  // Stream
  void sweep(std::chrono::steady_clock::time_point now) override;
  // gRPC
  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  using Clock = std::chrono::steady_clock;

  PushStream(StreamRegistry& registry, OutboxBudget& budget, std::shared_ptr<Session> session);
  void pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void break_off() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  StreamRegistry& registry_;
  std::optional<grpc::GenericStub> stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer reply_;
  Reached reached_ ABSL_GUARDED_BY(mutex_);
  Later later_;

  mutable base::Mutex mutex_;
  net::FrameQueue<OutboxBudget::Account> frames_ ABSL_GUARDED_BY(mutex_);
  OutboxBudget::Account& account_ = frames_.budget();  // guards itself
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool proven_ ABSL_GUARDED_BY(mutex_) = false;
  bool accepted_ ABSL_GUARDED_BY(mutex_) = false;
  bool late_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // by us
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;           // gRPC waits for more writes of ours
  Clock::time_point deadline_ ABSL_GUARDED_BY(mutex_);  // for being accepted
};

}  // namespace shoal::node
