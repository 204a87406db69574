// SPDX-License-Identifier: Apache-2.0
// A client of hops for tests: real mutual TLS, blocking calls with a deadline, nothing checked on
// the way out.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <optional>
#include <vector>

#include "net/channel_pool.h"
#include "node/node.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::node {

class HopStream {
 public:
  HopStream(std::shared_ptr<grpc::Channel> channel, int timeout_s = 30);
  ~HopStream();  // cancels

  bool send(const wire::ClientFrame& frame) { return stream_->Write(frame); }
  bool open(const wire::Open& open);
  bool step(const wire::Step& step);
  // The next frame that is not an acknowledgement when `skip_acks`.
  std::optional<wire::HopFrame> read(bool skip_acks = false);
  // Reads to the end of the stream; the last failure frame, if any came.
  std::optional<wire::Failure> failure();
  void close() { stream_->WritesDone(); }
  void cancel() { context_.TryCancel(); }
  grpc::Status finish() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<wire::SpanService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<wire::ClientFrame, wire::HopFrame>> stream_;
  bool finished_ = false;
};

class HopClient {
 public:
  explicit HopClient(std::optional<identity::SwarmKey> swarm_key = std::nullopt)
      : identity_(identity::Identity::generate()), pool_(identity_, swarm_key) {}

  const proto::PeerId& peer_id() const { return identity_.peer_id(); }
  std::shared_ptr<grpc::Channel> channel(const Node& node) {
    return pool_.get(node.peer_id(), {node.endpoint()});
  }
  std::shared_ptr<grpc::Channel> channel(const proto::PeerId& peer, const proto::Endpoint& at) {
    return pool_.get(peer, {at});
  }
  std::unique_ptr<HopStream> stream(const Node& node) {
    return std::make_unique<HopStream>(channel(node));
  }
  grpc::Status describe(const Node& node, wire::DescribeReply& reply,
                        std::uint32_t major = proto::kProtocolMajor);

 private:
  identity::Identity identity_;
  net::ChannelPool pool_;
};

// A valid Open for the whole span of `node` as the only hop; session ids count up.
wire::Open open_for(const Node& node, std::uint32_t positions = 256);
void set_next(wire::Open& open, const Node& next, const std::string& token);
void set_previous(wire::Open& open, const proto::PeerId& previous, const std::string& token);
wire::Step step_of(std::uint64_t step_id, std::uint32_t start, const std::vector<float>& x,
                   wire::ReturnRows return_rows = wire::RETURN_ALL, std::uint64_t epoch = 1);
std::vector<float> values(const wire::Activation& activation);
// Polls until the node holds no page, no session and no stream.
bool becomes_idle(const Node& node, int timeout_ms = 5'000);

}  // namespace shoal::node
