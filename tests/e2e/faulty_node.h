// SPDX-License-Identifier: Apache-2.0
// A node of the swarm that does not do as it should: a real node behind a service that delays,
// refuses, chatters or keeps back, and claims what it likes. Blocks come from a swarm of its own,
// so it can be the last or the only hop of a route.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "dht/udp_service.h"
#include "identity/identity.h"
#include "net/channel_pool.h"
#include "net/io_thread.h"
#include "net/server.h"
#include "proto/span_service.grpc.pb.h"
#include "tests/e2e/in_process_swarm.h"

namespace shoal::tests {

class FaultyNode : public wire::SpanService::Service {
 public:
  // Announces itself to the swarm at `join`, with the speed that it claims.
  FaultyNode(const std::string& join, proto::Span span, float claimed_block_us);
  ~FaultyNode() override;

  // May change at any time.
  std::atomic<int> delay_ms{0};  // of each step's answer; heartbeats are answered at once
  std::atomic<bool> chatters{
      false};  // says again and again what it has said, and what means nothing
  std::atomic<bool> swallows{false};  // what the hop before pushes
  std::atomic<bool> refuses{false};   // sessions
  std::atomic<int> asked{0};          // for sessions, so often
  std::atomic<int> outdated{0};       // of that many Describes the weights are others by now

  const proto::PeerId& peer() const { return peer_; }

  grpc::Status Describe(grpc::ServerContext*, const wire::DescribeRequest* request,
                        wire::DescribeReply* reply) override;
  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<wire::HopFrame, wire::ClientFrame>* stream) override;
  grpc::Status Push(grpc::ServerContext* context, grpc::ServerReader<wire::PushFrame>* stream,
                    wire::PushReply* reply) override;

 private:
  std::unique_ptr<wire::SpanService::Stub> behind();
  void announce(const std::string& join, proto::Span span);

  const float claimed_block_us_;
  InProcessSwarm behind_;
  const identity::Identity identity_ = identity::Identity::generate();
  const identity::Identity inner_identity_ = identity::Identity::generate();
  const proto::PeerId peer_ = identity_.peer_id();
  net::ChannelPool channels_{inner_identity_, std::nullopt};
  net::RunningServer running_;
  net::IoThread io_;
  std::unique_ptr<dht::UdpService> dht_;
};

}  // namespace shoal::tests
