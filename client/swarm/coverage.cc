// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/coverage.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace shoal::client {
namespace {

// As node/member/placement counts a node that has not measured itself.
constexpr double kUnknownPlacedStepUs = 100'000;

bool serves(const NodeView& node) {
  return node.load.state == proto::NodeState::kOnline && node.silence.empty();
}

void add(std::vector<BlockService>& blocks, proto::Span span, double block_step_us) {
  const double tokens_s =
      block_step_us > 0 && !span.empty() ? 1e6 / (block_step_us * span.size()) : 0;
  for (proto::BlockIndex block = span.begin; block < span.end && block < blocks.size(); ++block) {
    ++blocks[block].servers;
    blocks[block].tokens_s += tokens_s;
  }
}

// [blocks]: rows a second, of nodes that serve or are about to.
std::vector<double> placed_throughput(const SwarmView& view) {
  std::vector<const NodeView*> nodes;
  for (const NodeView& node : view.nodes) {
    const bool counts = node.load.state == proto::NodeState::kJoining ||
                        node.load.state == proto::NodeState::kOnline;
    if (counts && node.silence.empty()) nodes.push_back(&node);
  }
  // In the order in which nodes sum, so that the same window comes out.
  std::ranges::sort(nodes, {}, [](const NodeView* node) { return node->peer; });
  std::vector<double> throughput(view.block_count, 0.0);
  for (const NodeView* node : nodes) {
    const double step_us =
        node->load.block_step_us > 0 ? node->load.block_step_us : kUnknownPlacedStepUs;
    const proto::Span span = node->offer.span;
    for (proto::BlockIndex block = span.begin; block < std::min(span.end, view.block_count);
         ++block) {
      throughput[block] += 1e6 / step_us;
    }
  }
  return throughput;
}

}  // namespace

std::vector<BlockService> coverage_of(const SwarmView& view) {
  std::vector<BlockService> blocks(view.block_count);
  for (const NodeView& node : view.nodes) {
    if (serves(node)) add(blocks, node.offer.span, node.load.block_step_us);
  }
  return blocks;
}

std::vector<proto::Span> served_by(std::span<const BlockService> blocks, std::uint32_t servers) {
  std::vector<proto::Span> spans;
  for (proto::BlockIndex block = 0; block < blocks.size(); ++block) {
    if (blocks[block].servers != servers) continue;
    if (!spans.empty() && spans.back().end == block) {
      ++spans.back().end;
    } else {
      spans.push_back({block, block + 1});
    }
  }
  return spans;
}

BlockService weakest(std::span<const BlockService> blocks) {
  if (blocks.empty()) return {};
  BlockService least = blocks.front();
  for (const BlockService& block : blocks) {
    least.servers = std::min(least.servers, block.servers);
    least.tokens_s = std::min(least.tokens_s, block.tokens_s);
  }
  return least;
}

double median_block_step_us(const SwarmView& view) {
  std::vector<double> steps;
  for (const NodeView& node : view.nodes) {
    if (serves(node) && node.load.block_step_us > 0) steps.push_back(node.load.block_step_us);
  }
  if (steps.empty()) return 0;
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>((steps.size() - 1) / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

proto::Span thinnest_window(const SwarmView& view, std::uint32_t size) {
  CHECK(size >= 1 && size <= view.block_count)
      << "a span of " << size << " blocks in a model of " << view.block_count;
  const std::vector<double> throughput = placed_throughput(view);
  std::optional<proto::BlockIndex> best_begin;
  std::vector<double> best;
  for (proto::BlockIndex begin = 0; begin + size <= view.block_count; ++begin) {
    std::vector<double> window(throughput.begin() + begin, throughput.begin() + begin + size);
    std::ranges::sort(window);
    if (best_begin && !(window < best)) continue;
    best = std::move(window);
    best_begin = begin;
  }
  return {*best_begin, *best_begin + size};
}

Gain gain_of(const SwarmView& view, std::uint32_t size, double block_step_us) {
  std::vector<BlockService> blocks = coverage_of(view);
  Gain gain{thinnest_window(view, std::min(size, view.block_count)), weakest(blocks), {}};
  add(blocks, gain.span, block_step_us);
  gain.after = weakest(blocks);
  return gain;
}

}  // namespace shoal::client
