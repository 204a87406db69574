// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/live_load.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "client/swarm/network_check.h"
#include "net/channel_pool.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

struct Answers {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t running = 0;
};

struct Question {
  SwarmView* view = nullptr;
  NodeView* node = nullptr;
  std::unique_ptr<wire::SpanService::Stub> stub;
  grpc::ClientContext context;
  wire::DescribeRequest request;
  wire::DescribeReply reply;
  std::optional<grpc::Status> status;  // of the answer, once there is one
};

// The first sentence of why a call failed.
std::string reason(const grpc::Status& status) {
  const absl::Status failure = net::to_absl(status, "");
  const std::string text(failure.message().data(), failure.message().size());
  return text.substr(0, text.find(". "));
}

// What somebody who knows this node's record only cannot see: empty, or why it does not count.
std::string fault(const wire::DescribeReply& reply, const SwarmView& view) {
  if (reply.version().major() != proto::kProtocolMajor) {
    return fmt::format("speaks protocol version {}, this program {}", reply.version().major(),
                       proto::kProtocolMajor);
  }
  if (reply.model_digest() != view.model_digest.to_bytes() ||
      reply.block_count() != view.block_count) {
    return "serves another model than its record says";
  }
  if (reply.span().begin() >= reply.span().end() || reply.span().end() > view.block_count) {
    return "names an impossible span of blocks";
  }
  return "";
}

void take(const wire::DescribeReply& reply, NodeView& node) {
  node.live = LiveLoad{reply.sessions(), reply.max_sessions(), reply.total_kv_positions()};
  node.span = {reply.span().begin(), reply.span().end()};
  if (reply.state() <= static_cast<std::uint32_t>(proto::NodeState::kDraining)) {
    node.state = static_cast<proto::NodeState>(reply.state());
  }
  node.free_kv_positions = reply.free_kv_positions();
  node.queue_depth = reply.queue_depth();
}

void judge(const Question& question) {
  NodeView& node = *question.node;
  if (question.status && question.status->ok()) {
    node.silence = fault(question.reply, *question.view);
    if (node.silence.empty()) take(question.reply, node);
  } else if (!question.status || question.status->error_code() == grpc::DEADLINE_EXCEEDED ||
             question.status->error_code() == grpc::CANCELLED) {
    node.silence = "does not answer";
  } else {
    node.silence = fmt::format("does not answer ({})", reason(*question.status));
  }
}

// Why it is no use to ask this node; empty when it is.
std::string out_of_reach(const NodeView& node) {
  if (node.addresses.empty()) return "has no address";
  return why_out_of_reach(node.addresses);
}

}  // namespace

void ask_for_load(std::vector<SwarmView>& views, net::ChannelPool& channels,
                  const Interrupt& interrupt) {
  const auto board = std::make_shared<Answers>();
  std::vector<std::shared_ptr<Question>> questions;
  const auto deadline = std::chrono::system_clock::now() + kLiveLoadTimeout;
  for (SwarmView& view : views) {
    for (NodeView& node : view.nodes) {
      node.silence = out_of_reach(node);
      if (!node.silence.empty()) continue;
      auto question = std::make_shared<Question>();
      question->view = &view;
      question->node = &node;
      question->stub = wire::SpanService::NewStub(channels.get(node.peer, node.addresses));
      question->request.mutable_version()->set_major(proto::kProtocolMajor);
      question->request.mutable_version()->set_minor(proto::kProtocolMinor);
      question->context.set_deadline(deadline);
      questions.push_back(std::move(question));
    }
  }
  board->running = questions.size();
  for (const auto& question : questions) {
    question->stub->async()->Describe(&question->context, &question->request, &question->reply,
                                      [question, board](const grpc::Status& status) {
                                        const std::lock_guard lock(board->mutex);
                                        question->status = status;
                                        --board->running;
                                        board->changed.notify_all();
                                      });
  }
  std::unique_lock lock(board->mutex);
  while (board->running > 0 && !interrupt.triggered())
    board->changed.wait_for(lock, kInterruptPoll);
  if (board->running > 0) {
    lock.unlock();
    for (const auto& question : questions) question->context.TryCancel();
    lock.lock();
    // A cancelled call ends at once; the bound is for a transport that does not keep its word.
    board->changed.wait_for(lock, std::chrono::seconds(2), [&] { return board->running == 0; });
  }
  for (const auto& question : questions) judge(*question);
}

}  // namespace shoal::client
