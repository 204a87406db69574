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

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

// After all blocks are covered, so much longer for a better route: as long again as it took, within
// these bounds.
constexpr std::chrono::milliseconds kLeastGrace{30}, kMostGrace{500};

absl::Status lost(const AskedNode& node, absl::StatusCode code, const std::string& why) {
  return absl::Status(code, fmt::format("{}: {}", name_of(node), why));
}

// Why a node that was asked is of no use to us; OK when it is.
absl::Status check(const AskedNode& node, const SwarmView& view) {
  if (!node.out_of_reach.empty()) {
    return absl::UnavailableError(fmt::format("{} {}", name_of(node), node.out_of_reach));
  }
  if (!node.outcome) {
    return lost(
        node, absl::StatusCode::kUnavailable,
        "it did not answer in time. Check its address, and that a firewall lets TCP through");
  }
  if (!node.outcome->ok())
    return lost(node, node.outcome->code(), std::string(node.outcome->message()));
  if (const absl::Status why = contradiction(node, view.model_digest, view.block_count); !why.ok())
    return lost(node, why.code(), "it " + std::string(why.message()));
  if (node.said->load.state != proto::NodeState::kOnline) {
    return lost(node, absl::StatusCode::kUnavailable, "it takes no new sessions");
  }
  return absl::OkStatus();
}

Candidate candidate(const AskedNode& node, net::ChannelPool& channels) {
  const proto::Serving& serving = *node.said->serving;
  Candidate result;
  result.peer = node.peer;
  result.addresses = node.addresses;
  // The one that answered stands for the node in what people read.
  if (const auto answered = channels.connected_address(node.peer)) {
    std::erase(result.addresses, *answered);
    result.addresses.insert(result.addresses.begin(), *answered);
  }
  result.span = serving.offer.span;
  result.numerics = serving.offer.numerics;
  result.load = node.said->load;
  result.rtt_us = node.rtt_us;
  result.max_positions = std::min(serving.max_positions, serving.occupancy.total_kv_positions);
  result.max_rows = serving.max_rows_per_step;
  result.ends = serving.offer.ends;
  result.head_us = serving.head_us;
  result.version_minor = node.said->version_minor;
  result.sessions_full = serving.occupancy.sessions >= serving.occupancy.max_sessions;
  return result;
}

// Whether those who have answered so far serve every block, and in these kinds.
enum class Cover { kNone, kOtherKinds, kAll };
Cover cover(const std::vector<AskedNode>& nodes, const SwarmView& view, const BlockKinds& kinds,
            net::ChannelPool& channels, bool remote_ends) {
  std::vector<Candidate> candidates;
  for (const AskedNode& node : nodes) {
    if (node.outcome && check(node, view).ok()) candidates.push_back(candidate(node, channels));
  }
  RouteRequest request;
  request.block_count = view.block_count;
  request.kinds = kinds;
  request.remote_ends = remote_ends;
  const auto route = find_route(request, candidates);
  if (!route.ok()) return Cover::kNone;
  return other_kinds_us(*route, kinds) == 0 ? Cover::kAll : Cover::kOtherKinds;
}

proto::Span usable_span(const NodeView& node, std::uint32_t block_count, bool remote_ends) {
  if (!remote_ends) return node.offer.span;
  return span_with_ends(node.offer.span, node.offer.ends, node.version_minor, block_count);
}

bool has_kind_of(const NodeView& node, const BlockKinds& kinds) {
  if (kinds.empty()) return true;
  const auto begin = kinds.begin();
  return std::find(begin + node.offer.span.begin, begin + node.offer.span.end,
                   node.offer.numerics) != begin + node.offer.span.end;
}

}  // namespace

std::vector<NodeView> worth_asking(const SwarmView& view, const std::set<proto::PeerId>& excluded,
                                   const BlockKinds& kinds, bool remote_ends) {
  std::vector<NodeView> nodes;
  for (const NodeView& node : view.nodes) {
    if (node.load.state == proto::NodeState::kOnline && !node.addresses.empty() &&
        !excluded.contains(node.peer)) {
      nodes.push_back(node);
    }
  }
  const auto cost = [](const NodeView& node) {
    const double step = node.load.block_step_us > 0 ? node.load.block_step_us : kUnknownBlockStepUs;
    return step * (1.0 + node.load.queue_depth);
  };
  std::stable_sort(nodes.begin(), nodes.end(),
                   [&](const NodeView& a, const NodeView& b) { return cost(a) < cost(b); });
  std::vector<int> asked_of_kind(view.block_count, 0), asked_of_others(view.block_count, 0);
  std::erase_if(nodes, [&](const NodeView& node) {
    std::vector<int>& asked = has_kind_of(node, kinds) ? asked_of_kind : asked_of_others;
    const proto::Span span = usable_span(node, view.block_count, remote_ends);
    bool wanted = false;
    for (proto::BlockIndex b = span.begin; b < span.end; ++b) {
      wanted = wanted || asked[b] < kProbesPerBlock;
    }
    if (!wanted) return true;
    for (proto::BlockIndex b = span.begin; b < span.end; ++b) ++asked[b];
    return false;
  });
  return nodes;
}

ProbeResult probe(const SwarmView& view, const std::set<proto::PeerId>& excluded,
                  const BlockKinds& kinds, net::ChannelPool& channels,
                  const base::StopToken& interrupt, bool remote_ends) {
  std::vector<AskedNode> nodes;
  std::set<proto::PeerId> of_kind;  // as they say in their records
  for (const NodeView& node : worth_asking(view, excluded, kinds, remote_ends)) {
    nodes.push_back({node.peer, node.addresses});
    if (has_kind_of(node, kinds)) of_kind.insert(node.peer);
  }
  const auto started = Clock::now();
  std::size_t heard = 0;
  bool settled = false;  // nothing better is to be hoped for than a quicker route
  auto grace_ends = Clock::time_point::max();
  DescribeOptions options;
  options.timeout = kProbeTimeout;
  options.rounds = 2;
  options.until = [&](const std::vector<AskedNode>& so_far, Clock::time_point now) {
    const auto answers = static_cast<std::size_t>(std::count_if(
        so_far.begin(), so_far.end(), [](const AskedNode& n) { return n.outcome.has_value(); }));
    const Cover covered = settled || answers == heard
                              ? Cover::kNone
                              : cover(so_far, view, kinds, channels, remote_ends);
    if (covered != Cover::kNone) {
      settled = covered == Cover::kAll ||
                std::none_of(so_far.begin(), so_far.end(), [&](const AskedNode& node) {
                  return !node.outcome && of_kind.contains(node.peer);
                });
      const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(now - started);
      grace_ends = std::min(
          grace_ends, now + (settled ? std::clamp(taken, kLeastGrace, kMostGrace) : kMostGrace));
    }
    heard = answers;
    return grace_ends;
  };
  ProbeResult result;
  for (const AskedNode& node : describe_all(std::move(nodes), options, channels, interrupt)) {
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
