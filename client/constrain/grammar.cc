// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "client/constrain/limits.h"
#include "model/tokenizer/utf8.h"

namespace shoal::client::constrain {
namespace {

constexpr int kNever = kMaxFrames + 1;

}  // namespace

NodeId GrammarBuilder::node() {
  if (!status_.ok()) return 0;
  if (nodes_.size() >= kMaxNodes) {
    fail(absl::InvalidArgumentError(fmt::format(
        "it is too large: more than {} nodes of an automaton (counted repeats, lengths and lists "
        "make many: ask for less)",
        kMaxNodes)));
    return 0;
  }
  nodes_.emplace_back();
  return static_cast<NodeId>(nodes_.size() - 1);
}

Rule GrammarBuilder::rule() {
  const Rule rule{node(), node()};
  if (status_.ok()) nodes_[static_cast<std::size_t>(rule.end)].end = true;
  return rule;
}

void GrammarBuilder::byte(NodeId from, unsigned char low, unsigned char high, NodeId to) {
  if (spend(1)) nodes_[static_cast<std::size_t>(from)].bytes.push_back({low, high, to});
}

void GrammarBuilder::empty(NodeId from, NodeId to) {
  if (spend(1)) nodes_[static_cast<std::size_t>(from)].empties.push_back(to);
}

void GrammarBuilder::call(NodeId from, const Rule& rule, NodeId back) {
  if (spend(1)) nodes_[static_cast<std::size_t>(from)].calls.push_back({rule.entry, back});
}

NodeId GrammarBuilder::text(NodeId from, std::string_view bytes) {
  for (const char c : bytes) {
    const NodeId next = node();
    const auto code = static_cast<unsigned char>(c);
    byte(from, code, code, next);
    from = next;
  }
  return from;
}

// A range of one length whose bytes are free behind the first that differs becomes one path; others
// are cut until they are such. `tails` shares what ends alike.
void GrammarBuilder::utf8(
    NodeId from, char32_t low, char32_t high, NodeId to,
    std::map<std::tuple<unsigned char, unsigned char, NodeId>, NodeId>& tails) {
  for (const char32_t last : {0x7Fu, 0x7FFu, 0xFFFFu}) {
    if (low > last || high <= last) continue;
    utf8(from, low, last, to, tails);
    return utf8(from, last + 1, high, to, tails);
  }
  for (int i = 1; i < 4 && high > 0x7F; ++i) {
    const char32_t mask = (char32_t{1} << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      utf8(from, low, low | mask, to, tails);
      return utf8(from, (low | mask) + 1, high, to, tails);
    }
    if ((high & mask) != mask) {
      utf8(from, low, (high & ~mask) - 1, to, tails);
      return utf8(from, high & ~mask, high, to, tails);
    }
  }
  std::string first, last;
  model::append_utf8(low, &first);
  model::append_utf8(high, &last);
  for (std::size_t i = first.size() - 1; i > 0; --i) {
    const auto a = static_cast<unsigned char>(first[i]), b = static_cast<unsigned char>(last[i]);
    const auto [tail, is_new] = tails.try_emplace({a, b, to}, 0);
    if (is_new) {
      tail->second = node();
      byte(tail->second, a, b, to);
    }
    to = tail->second;
  }
  byte(from, static_cast<unsigned char>(first[0]), static_cast<unsigned char>(last[0]), to);
}

void GrammarBuilder::character(NodeId from, const CodePoints& set, NodeId to) {
  CodePoints wide;
  for (const auto& [low, high] : set.ranges()) {
    if (low < 0x80) {
      byte(from, static_cast<unsigned char>(low),
           static_cast<unsigned char>(std::min<char32_t>(high, 0x7F)), to);
    }
    if (high >= 0x80) wide.add(std::max<char32_t>(low, 0x80), high);
  }
  if (wide.empty() || !status_.ok()) return;
  // A rule for each set: in a repeat one call takes the place of a dozen nodes.
  const auto [found, is_new] = sets_.try_emplace(wide.ranges());
  if (is_new) {
    found->second = rule();
    std::map<std::tuple<unsigned char, unsigned char, NodeId>, NodeId> tails;
    for (const auto& [low, high] : wide.ranges()) {
      utf8(found->second.entry, low, high, found->second.end, tails);
    }
  }
  call(from, found->second, to);
}

bool GrammarBuilder::spend(std::int64_t steps) {
  if (!status_.ok()) return false;
  steps_ += steps;
  if (steps_ <= kMaxBuildSteps) return true;
  fail(absl::InvalidArgumentError(
      fmt::format("it is too large: more than {} steps to read it", kMaxBuildSteps)));
  return false;
}

void GrammarBuilder::fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

// The least solution, from the ends backwards: values only fall, and each at most kMaxFrames times.
std::vector<int> GrammarBuilder::frames_needed() const {
  std::vector<int> needed(nodes_.size(), kNever);
  std::vector<std::vector<NodeId>> before(nodes_.size());  // whose value depends on it
  std::vector<NodeId> work;
  const auto at = [](NodeId node) { return static_cast<std::size_t>(node); };
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    for (const auto& edge : nodes_[i].bytes) before[at(edge.to)].push_back(node);
    for (const NodeId to : nodes_[i].empties) before[at(to)].push_back(node);
    for (const auto& edge : nodes_[i].calls) {
      before[at(edge.entry)].push_back(node);
      before[at(edge.back)].push_back(node);
    }
    if (nodes_[i].end) {
      needed[i] = 0;
      work.push_back(node);
    }
  }
  while (!work.empty()) {
    const NodeId changed = work.back();
    work.pop_back();
    for (const NodeId node : before[at(changed)]) {
      const Edges& edges = nodes_[at(node)];
      int least = edges.end ? 0 : kNever;
      for (const auto& edge : edges.bytes) least = std::min(least, needed[at(edge.to)]);
      for (const NodeId to : edges.empties) least = std::min(least, needed[at(to)]);
      for (const auto& edge : edges.calls) {
        const int own = nodes_[at(edge.back)].end ? 0 : 1;  // no frame where nothing comes behind
        least = std::min(least, std::max(needed[at(edge.entry)] + own, needed[at(edge.back)]));
      }
      if (least >= needed[at(node)]) continue;
      needed[at(node)] = least;
      work.push_back(node);
    }
  }
  return needed;
}

// So that a call that is a rule's last thing is seen to be that.
void GrammarBuilder::shorten_ways_back() {
  constexpr int kMaxHops = 16;
  for (Edges& edges : nodes_) {
    for (Grammar::CallEdge& edge : edges.calls) {
      for (int i = 0; i < kMaxHops; ++i) {
        const Edges& behind = nodes_[static_cast<std::size_t>(edge.back)];
        if (behind.end || behind.empties.size() != 1 || !behind.bytes.empty() ||
            !behind.calls.empty()) {
          break;
        }
        edge.back = behind.empties.front();
      }
    }
  }
}

absl::StatusOr<Grammar> GrammarBuilder::build(const Rule& start) && {
  if (!status_.ok()) return status_;
  shorten_ways_back();
  Grammar grammar;
  grammar.needed_ = frames_needed();
  if (grammar.needed_[static_cast<std::size_t>(start.entry)] > kMaxFrames) {
    return absl::InvalidArgumentError(
        "nothing satisfies it: what is asked for contradicts itself, or contains itself without "
        "end");
  }
  grammar.start_ = start.entry;
  for (const Edges& edges : nodes_) {
    grammar.begins_.push_back({{static_cast<std::uint32_t>(grammar.bytes_.size()),
                                static_cast<std::uint32_t>(grammar.empties_.size()),
                                static_cast<std::uint32_t>(grammar.calls_.size())}});
    const auto append = [](auto& all, const auto& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    append(grammar.bytes_, edges.bytes);
    append(grammar.empties_, edges.empties);
    append(grammar.calls_, edges.calls);
    grammar.ends_.push_back(edges.end);
  }
  grammar.begins_.push_back({{static_cast<std::uint32_t>(grammar.bytes_.size()),
                              static_cast<std::uint32_t>(grammar.empties_.size()),
                              static_cast<std::uint32_t>(grammar.calls_.size())}});
  return grammar;
}

}  // namespace shoal::client::constrain
