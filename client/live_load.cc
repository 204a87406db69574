// SPDX-License-Identifier: Apache-2.0
#include "client/live_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "net/channel_pool.h"
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
  std::size_t node = 0;  // index into the view
  std::unique_ptr<wire::SpanService::Stub> stub;
  grpc::ClientContext context;
  wire::DescribeRequest request;
  wire::DescribeReply reply;
  bool answered = false;
};

void take(const wire::DescribeReply& reply, NodeView& node) {
  node.live = LiveLoad{reply.sessions(), reply.max_sessions(), reply.total_kv_positions()};
  if (reply.state() <= static_cast<std::uint32_t>(proto::NodeState::kDraining)) {
    node.state = static_cast<proto::NodeState>(reply.state());
  }
  node.free_kv_positions = reply.free_kv_positions();
  node.queue_depth = reply.queue_depth();
}

}  // namespace

void ask_for_load(SwarmView& view, net::ChannelPool& channels, const Interrupt& interrupt) {
  const auto board = std::make_shared<Answers>();
  std::vector<std::shared_ptr<Question>> questions;
  for (std::size_t i = 0; i < view.nodes.size(); ++i) {
    const NodeView& node = view.nodes[i];
    if (node.addresses.empty()) continue;
    auto question = std::make_shared<Question>();
    question->node = i;
    question->stub = wire::SpanService::NewStub(channels.get(node.peer, node.addresses));
    question->request.mutable_version()->set_major(proto::kProtocolMajor);
    question->request.mutable_version()->set_minor(proto::kProtocolMinor);
    question->context.set_deadline(std::chrono::system_clock::now() + kLiveLoadTimeout);
    questions.push_back(std::move(question));
  }
  board->running = questions.size();
  for (const auto& question : questions) {
    question->stub->async()->Describe(&question->context, &question->request, &question->reply,
                                      [question, board](const grpc::Status& status) {
                                        const std::lock_guard lock(board->mutex);
                                        question->answered = status.ok();
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
  for (const auto& question : questions) {
    if (question->answered) take(question->reply, view.nodes[question->node]);
  }
}

}  // namespace shoal::client
