// SPDX-License-Identifier: Apache-2.0
// Our stream to the next hop of one session (gRPC callback API): opened with the session, so that
// the first token does not pay for the connection. Its end, unless we asked for it, fails the
// session and names the next hop. Thread rule as SessionReactor. Kept by the registry until OnDone.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <memory>
#include <mutex>

#include "node/links.h"
#include "node/session.h"
#include "node/stream_registry.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::node {

class PushStream final : public grpc::ClientWriteReactor<wire::PushFrame>,
                         public NextLink,
                         public Stream,
                         public std::enable_shared_from_this<PushStream> {
 public:
  PushStream(StreamRegistry& registry, const std::shared_ptr<grpc::Channel>& channel,
             std::shared_ptr<Session> session);

  // After the registry has it; the caller holds a reference.
  void start(wire::PushOpen open);

  // NextLink
  bool send(wire::PushFrame frame) override;
  void end() override;
  // Stream
  void sweep(std::chrono::steady_clock::time_point now) override;
  // gRPC
  void OnReadInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void pump();
  void drop_hold();

  StreamRegistry& registry_;
  std::unique_ptr<wire::SpanService::Stub> stub_;
  grpc::ClientContext context_;
  wire::PushReply reply_;

  std::mutex mutex_;
  std::shared_ptr<Session> session_;
  std::deque<wire::PushFrame> queue_;
  wire::PushFrame out_;  // being written
  bool started_ = false;
  bool writing_ = false;
  bool accepted_ = false;
  bool late_ = false;
  bool ended_ = false;  // by us
  bool broken_ = false;
  bool held_ = false;                               // gRPC waits for more writes of ours
  std::chrono::steady_clock::time_point deadline_;  // for being accepted
};

}  // namespace shoal::node
