// SPDX-License-Identifier: Apache-2.0
#include "tests/node/hop_client.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "base/check.h"
#include "proto/activation.h"
#include "tests/node/demo_model.h"

namespace shoal::node {

HopStream::HopStream(std::shared_ptr<grpc::Channel> channel, int timeout_s)
    : stub_(wire::SpanService::NewStub(channel)) {
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(timeout_s));
  stream_ = stub_->Session(&context_);
}

HopStream::~HopStream() {
  if (finished_) return;
  context_.TryCancel();
  stream_->Finish();
}

bool HopStream::open(const wire::Open& open) {
  wire::ClientFrame frame;
  *frame.mutable_open() = open;
  return send(frame);
}

bool HopStream::step(const wire::Step& step) {
  wire::ClientFrame frame;
  *frame.mutable_step() = step;
  return send(frame);
}

std::optional<wire::HopFrame> HopStream::read(bool skip_acks) {
  wire::HopFrame frame;
  while (stream_->Read(&frame)) {
    if (!skip_acks || !frame.has_ack()) return frame;
  }
  return std::nullopt;
}

std::optional<wire::Failure> HopStream::failure() {
  std::optional<wire::Failure> failure;
  while (const auto frame = read()) {
    if (frame->has_failure()) failure = frame->failure();
  }
  return failure;
}

grpc::Status HopClient::describe(const Node& node, wire::DescribeReply& reply,
                                 std::uint32_t major) {
  const auto stub = wire::SpanService::NewStub(channel(node));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  wire::DescribeRequest request;
  request.mutable_version()->set_major(major);
  return stub->Describe(&context, request, &reply);
}

wire::Open open_for(const Node& node, std::uint32_t positions) {
  static std::atomic<std::uint32_t> next = 1;
  proto::SessionId id;
  const std::uint32_t number = next++;
  for (int i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  wire::Open open;
  open.mutable_version()->set_major(proto::kProtocolMajor);
  open.set_session_id(id.to_bytes());
  open.set_model_digest(node.model_digest().to_bytes());
  open.mutable_span()->set_begin(node.span().begin);
  open.mutable_span()->set_end(node.span().end);
  open.set_max_positions(positions);
  open.set_epoch(1);
  open.set_codec(wire::CODEC_F32);
  return open;
}

void set_next(wire::Open& open, const Node& next, const std::string& token) {
  open.mutable_next()->set_peer_id(next.peer_id().to_bytes());
  open.mutable_next()->set_hop_token(token);
}

void set_previous(wire::Open& open, const proto::PeerId& previous, const std::string& token) {
  open.set_previous_peer_id(previous.to_bytes());
  open.set_hop_token(token);
}

wire::Step step_of(std::uint64_t step_id, std::uint32_t start, const std::vector<float>& x,
                   wire::ReturnRows return_rows, std::uint64_t epoch) {
  wire::Step step;
  step.set_epoch(epoch);
  step.set_step_id(step_id);
  step.set_start_position(start);
  step.set_return_rows(return_rows);
  const auto hidden = static_cast<std::uint32_t>(demo().config.hidden);
  auto activation = proto::encode_activation(x, static_cast<std::uint32_t>(x.size() / hidden),
                                             hidden, wire::CODEC_F32);
  CHECK(activation.ok()) << activation.status();
  *step.mutable_activation() = std::move(*activation);
  return step;
}

std::vector<float> values(const wire::Activation& activation) {
  auto rows =
      proto::decode_activation(activation, static_cast<std::uint32_t>(demo().config.hidden), 1024);
  CHECK(rows.ok()) << rows.status();
  return std::move(*rows);
}

bool becomes_idle(const Node& node, int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (std::chrono::steady_clock::now() < deadline) {
    const NodeStats stats = node.stats();
    if (stats.pages_in_use == 0 && stats.sessions == 0 && stats.streams == 0 &&
        stats.queued_steps == 0 && stats.free_kv_positions == stats.total_kv_positions) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

}  // namespace shoal::node
