// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/faulty_node.h"

#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "proto/limits.h"

namespace shoal::tests {
namespace {

void pause(int ms, const std::atomic<bool>& ended) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!ended && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

FaultyNode::FaultyNode(const std::string& join, proto::Span span, float claimed_block_us)
    : claimed_block_us_(claimed_block_us), behind_({span}) {
  auto started =
      net::start_server(proto::Endpoint::v4({127, 0, 0, 1}, 0), identity_, std::nullopt, {this});
  CHECK(started.ok()) << started.status();
  running_ = *std::move(started);
  announce(join, span);
}

FaultyNode::~FaultyNode() {
  io_.run_and_wait([this] { dht_.reset(); });
  running_.server->Shutdown(std::chrono::system_clock::now());
}

void FaultyNode::announce(const std::string& join, proto::Span span) {
  dht::UdpServiceOptions options;
  options.listen = proto::Endpoint::v4({127, 0, 0, 1}, 0);
  options.client_mode = true;
  auto opened = dht::UdpService::open(io_.context(), identity_, options);
  CHECK(opened.ok()) << opened.status();
  dht_ = *std::move(opened);
  dht::Record record;
  record.sequence = 1;
  record.ttl_ms = proto::kMaxRecordTtlMs;
  record.load.state = proto::NodeState::kOnline;
  record.offer.model_digest = behind_.node(0).model_digest();
  record.offer.model_name = "tale";
  record.offer.block_count = 8;
  record.offer.span = span;
  record.offer.numerics = {proto::Compute::kF32, proto::WeightFormat::kF32, proto::KvFormat::kF32};
  record.load.block_step_us = claimed_block_us_;
  record.load.free_kv_positions = 16'384;
  record.addresses = {running_.endpoint};
  std::promise<int> stored;
  io_.post([&] {
    dht_->bootstrap({*proto::parse_endpoint(join)}, 5'000, [&](const absl::Status& status) {
      CHECK(status.ok()) << status;
      dht_->publish(dht::sign_record(identity_, record), dht::keys_of(dht_->swarm_id(), record),
                    [&](int replicas) { stored.set_value(replicas); });
    });
  });
  CHECK(stored.get_future().get() > 0);
}

std::unique_ptr<wire::SpanService::Stub> FaultyNode::behind() {
  return wire::SpanService::NewStub(
      channels_.get(behind_.node(0).peer_id(), {behind_.node(0).endpoint()}));
}

grpc::Status FaultyNode::Describe(grpc::ServerContext*, const wire::DescribeRequest* request,
                                  wire::DescribeReply* reply) {
  grpc::ClientContext context;
  const grpc::Status status = behind()->Describe(&context, *request, reply);
  reply->set_peer_id(peer_.to_bytes());
  reply->mutable_load()->set_block_step_us(static_cast<float>(claimed_block_us_));
  reply->mutable_load()->set_queue_depth(0);
  if (outdated > 0 && outdated-- > 0) reply->mutable_offer()->set_weights(wire::WEIGHTS_F16);
  return status;
}

grpc::Status FaultyNode::Session(
    grpc::ServerContext*, grpc::ServerReaderWriter<wire::HopFrame, wire::ClientFrame>* stream) {
  ++asked;
  grpc::ClientContext context;
  const auto stub = behind();
  const auto inner = stub->Session(&context);
  std::mutex mutex;  // of writing to the client
  std::atomic<bool> ended{false};
  const auto write = [&](const wire::HopFrame& frame) {
    const std::lock_guard lock(mutex);
    if (!stream->Write(frame)) ended = true;
  };
  std::thread answers([&] {
    wire::HopFrame frame;
    while (inner->Read(&frame)) {
      // The result comes first, the acknowledgement of the same step right behind it.
      if (frame.has_result()) pause(delay_ms, ended);
      write(frame);
    }
  });
  std::thread chatter([&] {
    while (!ended) {
      if (!chatters) {
        pause(20, ended);
        continue;
      }
      wire::HopFrame heartbeat, old, unknown;
      heartbeat.mutable_heartbeat()->set_nonce(1);
      old.mutable_ack()->set_step_id(1);
      old.mutable_ack()->set_epoch(1);
      for (const auto* frame : {&heartbeat, &old, &unknown}) write(*frame);
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  wire::ClientFrame frame;
  while (!ended && stream->Read(&frame)) {
    if (frame.has_heartbeat()) {
      wire::HopFrame answer;
      *answer.mutable_heartbeat() = frame.heartbeat();
      write(answer);
      continue;
    }
    if (frame.has_open()) {
      if (refuses) {
        wire::HopFrame refusal;
        refusal.mutable_failure()->set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
        refusal.mutable_failure()->set_reason("this node has no room");
        write(refusal);
        break;
      }
      if (!frame.open().previous_peer_id().empty()) {
        frame.mutable_open()->set_previous_peer_id(inner_identity_.peer_id().to_bytes());
      }
    }
    if (!inner->Write(frame)) break;
  }
  ended = true;
  context.TryCancel();
  answers.join();
  chatter.join();
  return grpc::Status::OK;
}

grpc::Status FaultyNode::Push(grpc::ServerContext*, grpc::ServerReader<wire::PushFrame>* stream,
                              wire::PushReply*) {
  grpc::ClientContext context;
  wire::PushReply reply;
  const auto stub = behind();
  const auto inner = stub->Push(&context, &reply);
  stream->SendInitialMetadata();
  wire::PushFrame frame;
  while (stream->Read(&frame)) {
    if (swallows && frame.has_step()) continue;
    if (!inner->Write(frame)) break;
  }
  context.TryCancel();
  inner->Finish();
  return grpc::Status::OK;
}

}  // namespace shoal::tests
