// SPDX-License-Identifier: Apache-2.0
#include "node/member/placement.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"

namespace shoal::node {
namespace {

// Rows per second through one block; a node that has not measured itself yet counts as a slow one,
// not as none.
double throughput_of(const dht::Record& record) {
  constexpr double kUnknownStepUs = 100'000;
  return 1e6 / (record.load.block_step_us > 0 ? record.load.block_step_us : kUnknownStepUs);
}

}  // namespace

std::vector<ServedSpan> served_spans(std::span<const dht::Record> records,
                                     const proto::Digest& model_digest, std::uint32_t block_count,
                                     const proto::PeerId& self) {
  std::vector<ServedSpan> servers;
  for (const dht::Record& record : records) {
    // A draining node leaves within seconds, unless it moves: whoever comes now should take its
    // place.
    const bool moves = !record.load.moving_to.empty();
    const proto::Span span = moves ? record.load.moving_to : record.offer.span;
    const bool joining = record.load.state == proto::NodeState::kJoining;
    const bool serves = joining || record.load.state == proto::NodeState::kOnline ||
                        (moves && record.load.state == proto::NodeState::kDraining);
    if (!serves || record.offer.model_digest != model_digest || span.empty() ||
        span.end > block_count || record.peer_id() == self) {
      continue;
    }
    // One that is on its way goes nowhere else.
    const std::uint32_t movable = moves || joining ? 0 : record.offer.movable_blocks;
    servers.push_back(
        {record.peer_id(), span, throughput_of(record), movable, joining, record.sequence});
  }
  return servers;
}

std::vector<double> block_throughput(std::vector<ServedSpan> servers, std::uint32_t block_count) {
  std::sort(servers.begin(), servers.end(),
            [](const ServedSpan& a, const ServedSpan& b) { return a.peer < b.peer; });
  std::vector<double> throughput(block_count, 0.0);
  for (const ServedSpan& server : servers) {
    for (std::uint32_t block = server.span.begin; block < std::min(server.span.end, block_count);
         ++block) {
      throughput[block] += server.throughput;
    }
  }
  return throughput;
}

proto::Span choose_span(std::span<const double> throughput, std::uint32_t size) {
  const proto::Span all{0, static_cast<proto::BlockIndex>(throughput.size())};
  CHECK(size >= 1 && size <= throughput.size())
      << "a span of " << size << " blocks in a model of " << throughput.size();
  return choose_span(throughput, size, {&all, 1});
}

proto::Span choose_span(std::span<const double> throughput, std::uint32_t size,
                        std::span<const proto::Span> held) {
  std::uint32_t longest = 0;
  for (const proto::Span& run : held) longest = std::max(longest, run.size());
  size = std::min(size, longest);
  CHECK(size >= 1) << "a span of blocks of nothing";
  std::optional<proto::BlockIndex> best_begin;
  std::vector<double> best;
  for (const proto::Span& run : held) {
    CHECK(run.end <= throughput.size());
    for (proto::BlockIndex begin = run.begin; begin + size <= run.end; ++begin) {
      std::vector<double> window(throughput.begin() + begin, throughput.begin() + begin + size);
      std::sort(window.begin(), window.end());
      if (best_begin && !(window < best)) continue;
      best = std::move(window);
      best_begin = begin;
    }
  }
  return {*best_begin, *best_begin + size};
}

std::optional<proto::Span> better_span(std::span<const double> throughput, proto::Span current,
                                       std::span<const proto::Span> held) {
  const proto::Span best = choose_span(throughput, current.size(), held);
  const auto sorted = [&](proto::Span span) {
    std::vector<double> window(throughput.begin() + span.begin, throughput.begin() + span.end);
    std::ranges::sort(window);
    return window;
  };
  if (!(sorted(best) < sorted(current))) return std::nullopt;
  return best;
}

std::vector<ServedSpan> heeded(std::vector<ServedSpan> servers,
                               const std::set<proto::PeerId>& known, std::uint64_t own_sequence,
                               const proto::PeerId& self) {
  std::erase_if(servers, [&](const ServedSpan& server) {
    if (!server.joining || known.contains(server.peer)) return false;
    return std::make_pair(server.sequence, server.peer) > std::make_pair(own_sequence, self);
  });
  return servers;
}

}  // namespace shoal::node
