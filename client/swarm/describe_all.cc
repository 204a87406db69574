// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/describe_all.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "client/swarm/network_check.h"
#include "client/swarm/node_name.h"
#include "net/channel_pool.h"
#include "net/status.h"
#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

// A cancelled call ends at once; the bound is for a transport that does not keep its word.
constexpr std::chrono::seconds kStragglerTime{2};

struct Board {
  base::Mutex mutex;
  base::CondVar changed;
  std::size_t running ABSL_GUARDED_BY(mutex) = 0;
  bool enough ABSL_GUARDED_BY(mutex) = false;  // what is under way is called off
  std::vector<AskedNode> nodes ABSL_GUARDED_BY(mutex);
};

struct Call : std::enable_shared_from_this<Call> {
  std::shared_ptr<Board> board;
  std::size_t index = 0;
  std::unique_ptr<wire::SpanService::Stub> stub;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;  // [rounds]
  wire::DescribeRequest request;
  wire::DescribeReply reply;
  Clock::time_point sent;

  void ask(std::size_t round) {
    sent = Clock::now();
    stub->async()->Describe(contexts[round].get(), &request, &reply,
                            [self = shared_from_this(), round](const grpc::Status& status) {
                              self->answered(round, status);
                            });
  }

  void answered(std::size_t round, const grpc::Status& status) {
    const double rtt_us = std::chrono::duration<double, std::micro>(Clock::now() - sent).count();
    if (status.ok() && round + 1 < contexts.size()) return ask(round + 1);
    const base::MutexLock lock(board->mutex);
    AskedNode& node = board->nodes[index];
    --board->running;
    board->changed.notify_all();
    if (board->enough && !status.ok()) return;  // that was us
    node.outcome = net::to_absl(status, "");
    if (status.ok()) node.said = proto::from_wire(reply);
    node.rtt_us = rtt_us;
  }
};

}  // namespace

std::string name_of(const AskedNode& node) { return name_of_node(node.peer, node.addresses); }

std::vector<AskedNode> describe_all(std::vector<AskedNode> nodes, const DescribeOptions& options,
                                    net::ChannelPool& channels, const base::StopToken& stop) {
  const auto board = std::make_shared<Board>();
  const auto deadline = Clock::now() + options.timeout;
  std::vector<std::shared_ptr<Call>> calls;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    AskedNode& node = nodes[i];
    node.out_of_reach = why_out_of_reach(node.addresses);
    if (!node.out_of_reach.empty()) continue;
    auto call = std::make_shared<Call>();
    call->board = board;
    call->index = i;
    call->stub = wire::SpanService::NewStub(channels.get(node.peer, node.addresses));
    *call->request.mutable_version() = proto::our_version();
    for (int round = 0; round < options.rounds; ++round) {
      call->contexts.push_back(std::make_unique<grpc::ClientContext>());
      call->contexts.back()->set_deadline(std::chrono::system_clock::now() + options.timeout);
    }
    calls.push_back(std::move(call));
  }
  {
    const base::MutexLock lock(board->mutex);
    board->nodes = std::move(nodes);
    board->running = calls.size();
  }
  for (const auto& call : calls) call->ask(0);

  {
    const base::MutexLock lock(board->mutex);
    while (board->running > 0 && !stop.stopped()) {
      const auto now = Clock::now();
      const auto until =
          options.until ? std::min(deadline, options.until(board->nodes, now)) : deadline;
      if (now >= until) break;
      board->changed.wait_until(board->mutex, std::min(until, now + base::kStopPoll));
    }
    if (board->running == 0) return board->nodes;
    board->enough = true;
  }
  for (const auto& call : calls) {
    for (const auto& context : call->contexts) context->TryCancel();
  }
  const base::MutexLock lock(board->mutex);
  const auto end = Clock::now() + kStragglerTime;
  while (board->running > 0 && board->changed.wait_until(board->mutex, end)) continue;
  return board->nodes;
}

absl::Status contradiction(const AskedNode& node, const proto::Digest& model,
                           std::uint32_t block_count) {
  if (absl::IsFailedPrecondition(node.said.status())) return node.said.status();
  if (!node.said.ok()) return absl::UnavailableError(node.said.status().message());
  const auto& serving = node.said->serving;
  if (!serving || serving->offer.model_digest != model ||
      serving->offer.block_count != block_count) {
    return absl::UnavailableError("serves another model than its record says");
  }
  return absl::OkStatus();
}

}  // namespace shoal::client
