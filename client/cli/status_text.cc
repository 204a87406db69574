// SPDX-License-Identifier: Apache-2.0
// The table of `shoal status`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "client/cli/report.h"
#include "client/swarm/gaps.h"
#include "dht/told_place.h"

namespace shoal::client {
namespace {

constexpr std::uint32_t kMostColumns = 64;  // of the map: wider models share columns

struct Map {
  std::uint32_t block_count;
  std::uint32_t per_column;
  std::uint32_t columns() const { return (block_count + per_column - 1) / per_column; }
};

char symbol(proto::NodeState state) {
  switch (state) {
    case proto::NodeState::kOnline:
      return '#';
    case proto::NodeState::kJoining:
      return 'j';
    case proto::NodeState::kDraining:
      return 'd';
    case proto::NodeState::kOffline:
      return '.';
  }
  return '?';
}

std::string row(const Map& map, const NodeView& node) {
  std::string text(map.columns(), '.');
  for (proto::BlockIndex b = node.offer.span.begin; b < node.offer.span.end; ++b) {
    text[b / map.per_column] = node.silence.empty() ? symbol(node.load.state) : 'x';
  }
  return text;
}

// How many nodes serve each column's least served block: '!' for none, '+' for ten or more.
std::string counts(const Map& map, const SwarmView& view) {
  std::vector<int> served(view.block_count, 0);
  for (const NodeView& node : view.nodes) {
    if (node.load.state != proto::NodeState::kOnline || !node.silence.empty()) continue;
    for (proto::BlockIndex b = node.offer.span.begin; b < node.offer.span.end; ++b) ++served[b];
  }
  std::string text;
  for (std::uint32_t column = 0; column < map.columns(); ++column) {
    const auto begin = served.begin() + column * map.per_column;
    const auto end = served.begin() + std::min((column + 1) * map.per_column, map.block_count);
    const int least = *std::min_element(begin, end);
    text += least == 0 ? '!' : least > 9 ? '+' : static_cast<char>('0' + least);
  }
  return text;
}

// Names are chosen by others: only what a terminal may show.
std::string safe(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string count(std::size_t number, const char* one, const char* many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

constexpr std::size_t kMostSilent = 16;  // told one by one

std::string verdict(const SwarmView& view, const std::vector<proto::Span>& missing) {
  if (missing.empty()) return "every block is served";
  const bool some_silent = view.answering() < view.nodes.size();
  return fmt::format("nobody {}serves {}", some_silent ? "who answers " : "",
                     describe_blocks(missing));
}

std::string silent_lines(const SwarmView& view, std::uint64_t now_us) {
  std::string text;
  std::size_t told = 0;
  const std::size_t silent = view.nodes.size() - view.answering();
  for (const NodeView& node : view.nodes) {
    if (node.silence.empty() || told == kMostSilent) continue;
    text += "  " + safe(describe_silence(node, now_us)) + "\n";
    ++told;
  }
  if (silent > told) text += fmt::format("  and {} more are silent\n", silent - told);
  return text;
}

std::string table(const SwarmView& view, std::uint64_t now_us) {
  Map map{view.block_count, 1};
  map.per_column = (view.block_count + kMostColumns - 1) / kMostColumns;
  const auto missing = view.missing();
  const std::size_t answering = view.answering();
  const std::size_t silent = view.nodes.size() - answering;
  std::string text = fmt::format("model {}  digest {}  {} blocks  {}{}\n", safe(view.model_name),
                                 proto::short_name(view.model_digest), view.block_count,
                                 count(answering, "node", "nodes"),
                                 silent == 0 ? "" : fmt::format(", {} more not answering", silent));
  if (view.nodes.empty()) return text + "  no node of this swarm serves it\n";
  const std::size_t width = std::max<std::size_t>(map.columns(), 6);
  constexpr const char* kRow = "  {:8}  {:{}}  {:>9}  {:8}  {:>8}  {:>8}  {:>9}  {:>5}  {}\n";
  text += fmt::format(fmt::runtime(kRow), "node", "blocks", width, "span", "state", "us/block",
                      "free KV", "sessions", "queue", "address");
  for (const NodeView& node : view.nodes) {
    std::string where = dht::told_place(node.addresses);
    if (!node.offer.public_name.empty()) where += "  " + safe(node.offer.public_name);
    text += fmt::format(
        fmt::runtime(kRow), proto::short_name(node.peer), row(map, node), width,
        proto::to_string(node.offer.span),
        node.silence.empty() ? std::string(proto::to_string(node.load.state)) : "silent",
        node.load.block_step_us > 0 ? fmt::format("{:.0f}", node.load.block_step_us) : "-",
        node.load.free_kv_positions, node.live ? fmt::format("{}", node.live->sessions) : "-",
        node.load.queue_depth, where);
  }
  text += fmt::format("  {:8}  {:{}}  {}\n", "servers", counts(map, view), width,
                      verdict(view, missing));
  if (map.per_column > 1) text += fmt::format("  (each column is {} blocks)\n", map.per_column);
  if (const std::string gaps = describe_gaps(view); !gaps.empty()) text += "  " + gaps + "\n";
  return text + silent_lines(view, now_us);
}

std::string health_text(const DhtHealth& health) {
  return fmt::format(
      "directory  {}, {:.0f} % verified; about {}\n"
      "  {} of {} found a record, p50 {:.1f} ms, p99 {:.1f} ms; {}, {} without an answer\n",
      count(health.contacts, "contact", "contacts"), 100 * health.verified_share(),
      count(static_cast<std::size_t>(std::max(0.0, std::round(health.estimated_peers))), "peer",
            "peers"),
      health.lookups_found, count(health.lookup_ms.size(), "lookup", "lookups"),
      health.quantile_ms(0.5), health.quantile_ms(0.99),
      count(health.requests_answered + health.requests_failed, "request", "requests"),
      health.requests_failed);
}

}  // namespace

std::string status_text(const std::vector<SwarmView>& views, const DhtHealth& health,
                        std::uint64_t now_us) {
  std::string text;
  for (const SwarmView& view : views) {
    if (!text.empty()) text += "\n";
    text += table(view, now_us);
  }
  if (text.empty()) text = "no node of this swarm serves a model\n";
  return text + "\n" + health_text(health);
}

}  // namespace shoal::client
