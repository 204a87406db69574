// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "client/swarm/describe_all.h"
#include "net/channel_pool.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

// After all blocks are covered, so much longer for a better route: as long again as it took, within
// these bounds.
constexpr std::chrono::milliseconds kLeastGrace{30}, kMostGrace{500};

absl::Status lost(const Description& node, absl::StatusCode code, const std::string& why) {
  return absl::Status(code, fmt::format("{}: {}", name_of(node), why));
}

// Why a node that was asked is of no use to us; OK when it is.
absl::Status check(const Description& node, const SwarmView& view) {
  if (!node.out_of_reach.empty()) {
    return absl::UnavailableError(fmt::format("{} {}", name_of(node), node.out_of_reach));
  }
  if (!node.outcome) return lost(node, absl::StatusCode::kUnavailable, "it did not answer in time");
  if (!node.outcome->ok())
    return lost(node, node.outcome->code(), std::string(node.outcome->message()));
  if (std::string why = contradiction(node.reply, view.model_digest, view.block_count);
      !why.empty()) {
    const bool version = node.reply.version().major() != proto::kProtocolMajor;
    return lost(node,
                version ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kUnavailable,
                "it " + why);
  }
  if (node.reply.state() != static_cast<std::uint32_t>(proto::NodeState::kOnline)) {
    return lost(node, absl::StatusCode::kUnavailable, "it takes no new sessions");
  }
  return absl::OkStatus();
}

Candidate candidate(const Description& node, net::ChannelPool& channels) {
  const wire::DescribeReply& reply = node.reply;
  Candidate result;
  result.peer = node.peer;
  result.addresses = node.addresses;
  // The one that answered stands for the node in what people read.
  if (const auto answered = channels.connected_address(node.peer)) {
    std::erase(result.addresses, *answered);
    result.addresses.insert(result.addresses.begin(), *answered);
  }
  result.span = {reply.span().begin(), reply.span().end()};
  result.rtt_us = node.rtt_us;
  result.block_step_us = reply.block_step_us();
  result.queue_depth = reply.queue_depth();
  result.free_kv_positions = reply.free_kv_positions();
  result.max_positions = std::min(reply.max_positions(), reply.total_kv_positions());
  result.sessions_full = reply.sessions() >= reply.max_sessions();
  return result;
}

// Whether those who have answered so far serve every block.
bool covered(const std::vector<Description>& nodes, const SwarmView& view,
             net::ChannelPool& channels) {
  std::vector<Candidate> candidates;
  for (const Description& node : nodes) {
    if (node.outcome && check(node, view).ok()) candidates.push_back(candidate(node, channels));
  }
  RouteRequest request;
  request.block_count = view.block_count;
  return find_route(request, candidates).ok();
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
                  net::ChannelPool& channels, const base::StopToken& interrupt) {
  std::vector<Description> nodes;
  for (const NodeView& node : worth_asking(view, excluded)) {
    nodes.push_back({node.peer, node.addresses});
  }
  const auto started = Clock::now();
  std::size_t heard = 0;
  std::optional<Clock::time_point> grace_ends;
  DescribeOptions options;
  options.timeout = kProbeTimeout;
  options.rounds = 2;
  options.until = [&](const std::vector<Description>& so_far, Clock::time_point now) {
    const auto answers = static_cast<std::size_t>(std::count_if(
        so_far.begin(), so_far.end(), [](const Description& n) { return n.outcome.has_value(); }));
    if (!grace_ends && answers > heard && covered(so_far, view, channels)) {
      const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(now - started);
      grace_ends = now + std::clamp(taken, kLeastGrace, kMostGrace);
    }
    heard = answers;
    return grace_ends.value_or(Clock::time_point::max());
  };
  ProbeResult result;
  for (const Description& node : describe_all(std::move(nodes), options, channels, interrupt)) {
    if (absl::Status status = check(node, view); status.ok()) {
      result.candidates.push_back(candidate(node, channels));
    } else {
      result.lost[node.peer] = std::move(status);
    }
  }
  std::sort(result.candidates.begin(), result.candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.peer < b.peer; });
  return result;
}

}  // namespace shoal::client
