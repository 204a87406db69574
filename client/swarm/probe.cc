// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/probe.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "client/swarm/network_check.h"
#include "net/channel_pool.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

// After all blocks are covered, so much longer for a better route: as long again as it took, within
// these bounds.
constexpr std::chrono::milliseconds kLeastGrace{30}, kMostGrace{500};

struct Call;

struct Board {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t running = 0;
  ProbeResult result;
};

// Two questions in a row to one node: the first pays for the connection, the second measures.
struct Call : std::enable_shared_from_this<Call> {
  NodeView node;
  proto::Digest model;
  std::uint32_t block_count = 0;
  std::shared_ptr<Board> board;
  net::ChannelPool* channels = nullptr;
  std::unique_ptr<wire::SpanService::Stub> stub;
  std::array<grpc::ClientContext, 2> contexts;
  wire::DescribeRequest request;
  wire::DescribeReply reply;
  Clock::time_point sent;

  void ask(int round) {
    sent = Clock::now();
    stub->async()->Describe(&contexts[round], &request, &reply,
                            [self = shared_from_this(), round](const grpc::Status& status) {
                              self->answered(round, status);
                            });
  }

  void answered(int round, const grpc::Status& status) {
    const double rtt_us = std::chrono::duration<double, std::micro>(Clock::now() - sent).count();
    absl::Status refusal = status.ok() ? check() : net::to_absl(status, name());
    if (refusal.ok() && round == 0) return ask(1);
    const std::lock_guard lock(board->mutex);
    if (refusal.ok()) {
      board->result.candidates.push_back(candidate(rtt_us));
    } else {
      board->result.lost[node.peer] = std::move(refusal);
    }
    --board->running;
    board->changed.notify_all();
  }

  std::string name() const {
    return fmt::format("node {} at {}", proto::short_name(node.peer),
                       proto::to_string(node.addresses.front()));
  }

  // Why this node is of no use to us; OK when it is.
  absl::Status check() const {
    const auto no = [&](absl::StatusCode code, const std::string& why) {
      return absl::Status(code, fmt::format("{}: {}", name(), why));
    };
    if (reply.version().major() != proto::kProtocolMajor) {
      return no(absl::StatusCode::kFailedPrecondition,
                fmt::format("it speaks protocol version {}, this program {}",
                            reply.version().major(), proto::kProtocolMajor));
    }
    if (reply.model_digest() != model.to_bytes() || reply.block_count() != block_count) {
      return no(absl::StatusCode::kUnavailable, "it serves another model than its record says");
    }
    if (reply.state() != static_cast<std::uint32_t>(proto::NodeState::kOnline)) {
      return no(absl::StatusCode::kUnavailable, "it takes no new sessions");
    }
    if (reply.span().begin() >= reply.span().end() || reply.span().end() > block_count) {
      return no(absl::StatusCode::kUnavailable, "it names an impossible span of blocks");
    }
    return absl::OkStatus();
  }

  Candidate candidate(double rtt_us) const {
    Candidate result;
    result.peer = node.peer;
    result.addresses = node.addresses;
    // The one that answered stands for the node in what people read.
    if (const auto answered = channels->connected_address(node.peer)) {
      std::erase(result.addresses, *answered);
      result.addresses.insert(result.addresses.begin(), *answered);
    }
    result.span = {reply.span().begin(), reply.span().end()};
    result.rtt_us = rtt_us;
    result.block_step_us = reply.block_step_us();
    result.queue_depth = reply.queue_depth();
    result.free_kv_positions = reply.free_kv_positions();
    result.max_positions = std::min(reply.max_positions(), reply.total_kv_positions());
    result.sessions_full = reply.sessions() >= reply.max_sessions();
    return result;
  }
};

bool covers(const ProbeResult& result, std::uint32_t block_count) {
  RouteRequest request;
  request.block_count = block_count;
  return find_route(request, result.candidates).ok();
}

}  // namespace

std::vector<NodeView> worth_asking(const SwarmView& view, const std::set<proto::PeerId>& excluded) {
  std::vector<NodeView> nodes;
  for (const NodeView& node : view.nodes) {
    if (node.state == proto::NodeState::kOnline && !node.addresses.empty() &&
        !excluded.contains(node.peer)) {
      nodes.push_back(node);
    }
  }
  const auto cost = [](const NodeView& node) {
    const double step = node.block_step_us > 0 ? node.block_step_us : kUnknownBlockStepUs;
    return step * (1.0 + node.queue_depth);
  };
  std::stable_sort(nodes.begin(), nodes.end(),
                   [&](const NodeView& a, const NodeView& b) { return cost(a) < cost(b); });
  std::vector<int> asked(view.block_count, 0);
  std::erase_if(nodes, [&](const NodeView& node) {
    bool wanted = false;
    for (proto::BlockIndex b = node.span.begin; b < node.span.end; ++b) {
      wanted = wanted || asked[b] < kProbesPerBlock;
    }
    if (!wanted) return true;
    for (proto::BlockIndex b = node.span.begin; b < node.span.end; ++b) ++asked[b];
    return false;
  });
  return nodes;
}

ProbeResult probe(const SwarmView& view, const std::set<proto::PeerId>& excluded,
                  net::ChannelPool& channels, const Interrupt& interrupt) {
  const auto board = std::make_shared<Board>();
  const auto started = Clock::now();
  const auto deadline = started + kProbeTimeout;
  std::vector<std::shared_ptr<Call>> calls;
  for (const NodeView& node : worth_asking(view, excluded)) {
    if (const std::string why = why_out_of_reach(node.addresses); !why.empty()) {
      board->result.lost[node.peer] =
          absl::UnavailableError(fmt::format("node {} at {} {}", proto::short_name(node.peer),
                                             proto::to_string(node.addresses.front()), why));
      continue;
    }
    auto call = std::make_shared<Call>();
    call->node = node;
    call->model = view.model_digest;
    call->block_count = view.block_count;
    call->board = board;
    call->channels = &channels;
    call->stub = wire::SpanService::NewStub(channels.get(node.peer, node.addresses));
    call->request.mutable_version()->set_major(proto::kProtocolMajor);
    call->request.mutable_version()->set_minor(proto::kProtocolMinor);
    for (auto& context : call->contexts) {
      context.set_deadline(std::chrono::system_clock::now() + kProbeTimeout);
    }
    calls.push_back(std::move(call));
  }
  board->running = calls.size();
  for (const auto& call : calls) call->ask(0);

  std::unique_lock lock(board->mutex);
  std::optional<Clock::time_point> grace_ends;
  while (board->running > 0 && !interrupt.triggered()) {
    const auto now = Clock::now();
    if (!grace_ends && covers(board->result, view.block_count)) {
      const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(now - started);
      grace_ends = now + std::clamp(taken, kLeastGrace, kMostGrace);
    }
    const auto until = std::min(deadline, grace_ends.value_or(deadline));
    if (now >= until) break;
    board->changed.wait_until(lock, std::min(until, now + kInterruptPoll));
  }
  if (board->running > 0) {
    lock.unlock();
    for (const auto& call : calls) {
      for (auto& context : call->contexts) context.TryCancel();
    }
    lock.lock();
    // A cancelled call ends at once; the bound is for a transport that does not keep its word.
    board->changed.wait_for(lock, std::chrono::seconds(2), [&] { return board->running == 0; });
  }
  ProbeResult result = board->result;
  std::sort(result.candidates.begin(), result.candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.peer < b.peer; });
  return result;
}

}  // namespace shoal::client
