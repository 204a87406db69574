// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "base/check.h"
#include "client/swarm/swarm_view.h"

namespace shoal::client {
namespace {

constexpr int kNone = -1;

double block_cost_us(const Candidate& node) {
  const double step = std::isfinite(node.load.block_step_us) && node.load.block_step_us > 0
                          ? node.load.block_step_us
                          : kUnknownBlockStepUs;
  return step * (1.0 + node.load.queue_depth);
}

double kind_cost_us(const proto::Numerics& numerics, proto::BlockIndex block,
                    const BlockKinds& kinds) {
  return kinds.empty() || kinds[block] == numerics ? 0 : kOtherKindUs;
}

double head_kind_us(proto::WeightFormat head, proto::WeightFormat before) {
  return before == proto::WeightFormat::kUnknown || before == head ? 0 : kOtherKindUs;
}

double rtt_us(const Candidate& node) { return std::max(0.0, node.rtt_us); }

// One way between two nodes that we know only from here: the middle of what the triangle inequality
// allows.
double between_us(const Candidate& a, const Candidate& b) {
  return std::max(rtt_us(a), rtt_us(b)) / 2;
}

struct Cost {
  double us = std::numeric_limits<double>::infinity();
  int hops = 0;
  bool reached() const { return std::isfinite(us); }
  // Sums of the same terms in another order differ in their last bits: a nanosecond is no reason
  // for another hop.
  bool better_than(const Cost& other) const {
    if (!other.reached()) return reached();
    if (!reached()) return false;
    if (std::abs(us - other.us) > 1e-3) return us < other.us;
    return hops < other.hops;
  }
};

// Shortest path over the layered graph (block, node that runs it). Layers are visited in order, so
// each edge is relaxed once, and no queue is needed. `nodes` are sorted by peer; the first of
// equals wins.
std::optional<Route> shortest_path(const RouteRequest& request,
                                   const std::vector<Candidate>& nodes) {
  const std::uint32_t block_count = request.block_count;
  const int count = static_cast<int>(nodes.size());
  const bool cuts = !request.cuts_us.empty();
  const auto block_us = [&](proto::BlockIndex b, const Candidate& node) {
    return block_cost_us(node) + kind_cost_us(node.numerics, b, request.kinds);
  };
  std::vector<std::vector<Cost>> best(block_count, std::vector<Cost>(count));
  std::vector<std::vector<int>> from(block_count, std::vector<int>(count, kNone));
  for (proto::BlockIndex b = 0; b < block_count; ++b) {
    for (int n = 0; n < count; ++n) {
      if (!nodes[n].span.contains(b)) continue;
      Cost& cost = best[b][n];
      if (b == 0) {
        cost = {rtt_us(nodes[n]) / 2 + kHopOverheadUs + block_us(b, nodes[n]) + nodes[n].penalty_us,
                1};
        continue;
      }
      for (int p = 0; p < count; ++p) {
        Cost next = best[b - 1][p];
        if (!next.reached()) continue;
        if (p != n) {
          next.us += between_us(nodes[p], nodes[n]) + kHopOverheadUs + nodes[n].penalty_us;
          if (cuts) {
            const auto cut = request.cuts_us.find({nodes[p].peer, nodes[n].peer});
            if (cut != request.cuts_us.end()) next.us += cut->second;
          }
          ++next.hops;
        }
        next.us += block_us(b, nodes[n]);
        if (next.better_than(cost)) {
          cost = next;
          from[b][n] = p;
        }
      }
    }
  }
  int last = kNone;
  Cost least;
  for (int n = 0; n < count; ++n) {
    Cost total = best[block_count - 1][n];
    total.us += rtt_us(nodes[n]) / 2;
    if (request.remote_ends) {
      total.us += nodes[n].head_us + head_kind_us(nodes[n].ends.head, request.head);
    }
    if (total.better_than(least)) {
      least = total;
      last = n;
    }
  }
  if (last == kNone) return std::nullopt;
  Route route;
  for (proto::BlockIndex b = block_count; b-- > 0;) {
    if (!route.empty() && route.back().peer == nodes[last].peer) {
      route.back().span.begin = b;
    } else {
      const Candidate& node = nodes[last];
      Hop hop{node.peer, node.addresses, {b, b + 1}, node.numerics};
      if (request.remote_ends && route.empty()) hop.ends.head = node.ends.head;
      route.push_back(std::move(hop));
    }
    last = from[b][last];
  }
  std::reverse(route.begin(), route.end());
  route.front().ends.embeds = request.remote_ends;
  return route;
}

// A path may leave a peer for faster ones inside its span and come back, but a session uses a peer
// once: then the peer keeps the blocks between its visits.
void close_returns(Route& route) {
  for (std::size_t i = 0; i < route.size(); ++i) {
    for (std::size_t j = route.size() - 1; j > i; --j) {
      if (route[i].peer != route[j].peer) continue;
      route[i].span.end = route[j].span.end;
      route[i].ends.head = route[j].ends.head;
      route.erase(route.begin() + i + 1, route.begin() + j + 1);
      break;
    }
  }
}

const Candidate& candidate_of(const Hop& hop, const std::vector<Candidate>& candidates) {
  const auto node =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
        return candidate.peer == hop.peer && candidate.span.contains(hop.span);
      });
  CHECK(node != candidates.end()) << "a hop that no candidate can be";
  return *node;
}

template <typename Keep>
std::vector<proto::Span> uncovered(std::uint32_t block_count, const std::vector<Candidate>& nodes,
                                   Keep keep) {
  SwarmView view;
  view.block_count = block_count;
  for (const Candidate& node : nodes) {
    if (!keep(node)) continue;
    NodeView seen;
    seen.offer.span = node.span;
    seen.load.state = proto::NodeState::kOnline;
    view.nodes.push_back(seen);
  }
  return view.missing();
}

// Leaves each node what it can run of a session whose ends nodes compute.
absl::Status take_ends(const RouteRequest& request, std::vector<Candidate>& nodes) {
  const auto allowed = [&](const Candidate& node) { return !request.excluded.contains(node.peer); };
  const auto before = uncovered(request.block_count, nodes, allowed);
  for (Candidate& node : nodes) {
    node.span = span_with_ends(node.span, node.ends, node.version_minor, request.block_count);
  }
  std::erase_if(nodes, [](const Candidate& node) { return node.span.empty(); });
  const auto missing = uncovered(request.block_count, nodes, allowed);
  if (!before.empty() || missing.empty()) return absl::OkStatus();
  return absl::UnavailableError(fmt::format(
      "no node that serves {} also turns token ids into rows before the first block, or rows into "
      "scores behind the last: start one with shoal-node run --ends on, or use the model's own "
      "files (--model, --ends local)",
      describe_blocks(missing)));
}

// From the first to the last block of `span` that lies in `parts`.
proto::Span part_in(const proto::Span& span, const std::vector<proto::Span>& parts) {
  proto::Span result{span.end, span.begin};
  for (const proto::Span& part : parts) {
    const proto::Span common{std::max(span.begin, part.begin), std::min(span.end, part.end)};
    if (common.begin >= common.end) continue;
    result.begin = std::min(result.begin, common.begin);
    result.end = std::max(result.end, common.end);
  }
  return result.begin < result.end ? result : proto::Span{};
}

}  // namespace

proto::Span span_with_ends(proto::Span span, const proto::Ends& ends, std::uint32_t version_minor,
                           std::uint32_t block_count) {
  if (version_minor < proto::kMinorOfEnds) return {};
  if (span.begin == 0 && !ends.embeds) span.begin = 1;
  if (span.end == block_count && !ends.has_head()) --span.end;
  return span.begin < span.end ? span : proto::Span{};
}

double route_cost_us(const Route& route, const std::vector<Candidate>& candidates) {
  double total = 0;
  const Candidate* previous = nullptr;
  for (const Hop& hop : route) {
    const Candidate& node = candidate_of(hop, candidates);
    total += previous ? between_us(*previous, node) : rtt_us(node) / 2;
    total += kHopOverheadUs + hop.span.size() * block_cost_us(node);
    if (hop.ends.has_head()) total += node.head_us;
    previous = &node;
  }
  return previous ? total + rtt_us(*previous) / 2 : 0;
}

double other_kinds_us(const Route& route, const BlockKinds& kinds, proto::WeightFormat head) {
  double total = route.empty() ? 0 : head_kind_us(route.back().ends.head, head);
  for (const Hop& hop : route) {
    for (proto::BlockIndex b = hop.span.begin; b < hop.span.end; ++b) {
      total += kind_cost_us(hop.numerics, b, kinds);
    }
  }
  return total;
}

std::vector<StageCost> stage_costs(const Route& route, const std::vector<Candidate>& candidates) {
  std::vector<StageCost> costs;
  const Candidate* previous = nullptr;
  for (const Hop& hop : route) {
    const Candidate& node = candidate_of(hop, candidates);
    // The news of this hop travels back to us, as those of the one before did.
    const double network = previous ? std::max(rtt_us(*previous), rtt_us(node)) : rtt_us(node);
    const double head_us = hop.ends.has_head() ? node.head_us : 0;
    const double us = network + kHopOverheadUs + hop.span.size() * block_cost_us(node) + head_us;
    costs.push_back({us, network, head_us});
    previous = &node;
  }
  return costs;
}

absl::StatusOr<Route> find_route(const RouteRequest& request,
                                 const std::vector<Candidate>& candidates) {
  CHECK(request.block_count > 0);
  CHECK(request.kinds.empty() || request.kinds.size() == request.block_count);
  std::vector<Candidate> nodes;
  for (const Candidate& node : candidates) {
    if (!node.span.empty() && node.span.end <= request.block_count) nodes.push_back(node);
  }
  if (request.remote_ends) {
    if (absl::Status served = take_ends(request, nodes); !served.ok()) return served;
  }
  const auto allowed = [&](const Candidate& node) { return !request.excluded.contains(node.peer); };
  const auto roomy = [&](const Candidate& node) {
    return !node.sessions_full &&
           std::min(node.load.free_kv_positions, node.max_positions) >= request.positions;
  };
  if (const auto missing = uncovered(request.block_count, nodes, allowed); !missing.empty()) {
    const bool failed =
        uncovered(request.block_count, nodes, [](const Candidate&) { return true; }) != missing;
    return absl::UnavailableError(fmt::format("no node serves {}{}", describe_blocks(missing),
                                              failed ? " (the nodes that did have failed)" : ""));
  }
  const auto too_small = uncovered(request.block_count, nodes, [&](const Candidate& node) {
    return allowed(node) && node.max_positions >= request.positions;
  });
  if (!too_small.empty()) {
    return absl::OutOfRangeError(fmt::format(
        "no node that serves {} can hold a session of {} positions: shorten the prompt, or ask for "
        "less (--max-tokens)",
        describe_blocks(too_small), request.positions));
  }
  const auto crowded = uncovered(request.block_count, nodes, [&](const Candidate& node) {
    return allowed(node) && roomy(node);
  });
  std::erase_if(nodes, [&](const Candidate& node) {
    return !allowed(node) || node.max_positions < request.positions;
  });
  // Where everybody is full, the full are asked, and there only.
  for (Candidate& node : nodes) {
    if (!roomy(node)) node.span = part_in(node.span, crowded);
  }
  std::erase_if(nodes, [](const Candidate& node) { return node.span.empty(); });
  std::sort(nodes.begin(), nodes.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.peer, a.addresses, a.span) < std::tie(b.peer, b.addresses, b.span);
  });
  nodes.erase(std::unique(nodes.begin(), nodes.end(),
                          [](const Candidate& a, const Candidate& b) { return a.peer == b.peer; }),
              nodes.end());
  std::optional<Route> route = shortest_path(request, nodes);
  CHECK(route.has_value()) << "every block is covered";
  close_returns(*route);
  return *std::move(route);
}

}  // namespace shoal::client
