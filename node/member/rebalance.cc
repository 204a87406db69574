// SPDX-License-Identifier: Apache-2.0
#include "node/member/rebalance.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace shoal::node {
namespace {

// Nodes that move one after the other so that the last of them closes a gap.
constexpr std::size_t kLongestChain = 6;
// Beyond these the pauses are equal.
constexpr std::uint32_t kMostTurns = 6;
constexpr std::uint32_t kMostFailures = 6;

using ServerCounts = std::vector<std::uint32_t>;

bool is_movable(const ServedSpan& peer, std::uint32_t block_count) {
  return peer.movable > 0 && peer.movable < block_count && peer.span.end <= block_count;
}

ServerCounts servers_of_blocks(std::span<const ServedSpan> swarm, std::uint32_t block_count) {
  ServerCounts servers(block_count, 0);
  for (const ServedSpan& peer : swarm) {
    for (std::uint32_t b = peer.span.begin; b < std::min(peer.span.end, block_count); ++b) {
      ++servers[b];
    }
  }
  return servers;
}

std::vector<proto::Span> gaps_of(const ServerCounts& servers) {
  std::vector<proto::Span> gaps;
  for (proto::BlockIndex b = 0; b < servers.size(); ++b) {
    if (servers[b] > 0) continue;
    if (gaps.empty() || gaps.back().end < b) gaps.push_back({b, b});
    gaps.back().end = b + 1;
  }
  return gaps;
}

// The windows where a peer may go.
std::vector<proto::Span> windows_of(std::uint32_t size, std::uint32_t block_count,
                                    std::span<const proto::Span> held) {
  const proto::Span all{0, block_count};
  if (held.empty()) held = {&all, 1};
  std::vector<proto::Span> windows;
  for (const proto::Span& run : held) {
    const proto::BlockIndex end = std::min(run.end, block_count);
    for (proto::BlockIndex begin = run.begin; begin + size <= end; ++begin) {
      windows.push_back({begin, begin + size});
    }
  }
  return windows;
}

// What a peer would change, anywhere, in constant time for each window.
class Prospects {
 public:
  // `throughput`: of all others, [block_count].
  Prospects(const std::vector<double>& throughput, double own)
      : gaps_(throughput.size() + 1),
        without_(throughput.size() + 1),
        with_(throughput.size() + 1) {
    for (std::size_t b = 0; b < throughput.size(); ++b) {
      const bool gap = throughput[b] <= 0;
      gaps_[b + 1] = gaps_[b] + (gap ? 1 : 0);
      // What nobody else serves counts as a gap, not as time.
      without_[b + 1] = without_[b] + (gap ? 0 : 1 / throughput[b]);
      with_[b + 1] = with_[b] + 1 / (std::max(throughput[b], 0.0) + own);
    }
  }

  std::uint32_t gaps(proto::Span at) const {
    return gaps_.back() - (gaps_[at.end] - gaps_[at.begin]);
  }
  // Seconds for a row through each block that somebody serves.
  double seconds(proto::Span at) const {
    return without_.back() - part(without_, at) + part(with_, at);
  }
  // The same, of the blocks alone that differ between the two.
  double changed_seconds(proto::Span at, proto::Span other) const {
    const proto::Span common{std::max(at.begin, other.begin), std::min(at.end, other.end)};
    const bool overlap = !common.empty();
    return part(with_, at) - (overlap ? part(with_, common) : 0) + part(without_, other) -
           (overlap ? part(without_, common) : 0);
  }

 private:
  static double part(const std::vector<double>& sums, proto::Span at) {
    return sums[at.end] - sums[at.begin];
  }
  std::vector<std::uint32_t> gaps_;
  std::vector<double> without_, with_;
};

// What all peers serve together, and from it what all but one do.
struct Served {
  std::vector<ServedSpan> peers;  // by id
  ServerCounts servers;
  std::vector<double> throughput;

  Served(std::span<const ServedSpan> swarm, std::uint32_t block_count)
      : peers(swarm.begin(), swarm.end()) {
    std::ranges::sort(peers, {}, &ServedSpan::peer);
    servers = servers_of_blocks(peers, block_count);
    throughput = block_throughput(peers, block_count);
  }
  std::uint32_t block_count() const { return static_cast<std::uint32_t>(servers.size()); }
  // Exactly 0 where nobody else serves.
  std::vector<double> without(const ServedSpan& peer) const {
    std::vector<double> others = throughput;
    for (proto::BlockIndex b = peer.span.begin; b < peer.span.end; ++b) {
      others[b] = servers[b] > 1 ? std::max(others[b] - peer.throughput, kLeast) : 0;
    }
    return others;
  }

 private:
  static constexpr double kLeast = 1e-9;  // what rounding leaves of a server is no gap
};

std::uint32_t distance(proto::Span a, proto::Span b) {
  return std::max(a.begin, b.begin) - std::min(a.begin, b.begin);
}

// The best of all windows: fewest gaps, then least time, then the nearest.
std::optional<Move> best_of(const Prospects& prospects, const ServedSpan& mover,
                            const std::vector<double>& others,
                            const std::vector<proto::Span>& windows, double worth) {
  const std::uint32_t gaps_now = prospects.gaps(mover.span);
  const auto rank = [&](const proto::Span& at) {
    return std::make_tuple(prospects.gaps(at), prospects.seconds(at), distance(at, mover.span));
  };
  const auto best = std::ranges::min_element(
      windows, [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  if (best == windows.end() || *best == mover.span) return std::nullopt;
  const std::uint32_t gaps_then = prospects.gaps(*best);
  Move move{.from = mover.span, .to = *best, .closes = {}};
  move.gain = prospects.seconds(mover.span) - prospects.seconds(*best);
  if (gaps_then < gaps_now) {
    move.closes_in_all = gaps_now - gaps_then;
    for (proto::BlockIndex b = best->begin; b < best->end; ++b) {
      if (others[b] <= 0 && !mover.span.contains(b)) move.closes.push_back(b);
    }
    return move;
  }
  if (gaps_now > 0 || gaps_then > gaps_now) return std::nullopt;
  const double before = prospects.changed_seconds(mover.span, *best);
  const double after = prospects.changed_seconds(*best, mover.span);
  if (after > worth * before) return std::nullopt;
  return move;
}

std::optional<Move> best_among(const Served& served, const ServedSpan& mover,
                               std::span<const proto::Span> held, double worth) {
  if (!is_movable(mover, served.block_count())) return std::nullopt;
  const std::vector<double> others = served.without(mover);
  return best_of(Prospects(others, mover.throughput), mover, others,
                 windows_of(mover.movable, served.block_count(), held), worth);
}

// A chain: whoever has blocks to spare moves up, so that the next one may, until the last closes
// the gap. Only the one at the end moves now; then everybody finds the rest of the chain.
class Chain {
 public:
  Chain(std::span<const ServedSpan> swarm, ServerCounts servers)
      : swarm_(swarm), servers_(std::move(servers)), used_(swarm.size(), false) {}

  // Who moves first so that `need` is served: index and span.
  std::optional<std::pair<std::size_t, proto::Span>> first(proto::Span need, bool from_left) {
    if (order_.size() == kLongestChain) return std::nullopt;
    for (std::size_t i = 0; i < swarm_.size(); ++i) {
      const ServedSpan& peer = swarm_[i];
      const auto blocks = static_cast<std::uint32_t>(servers_.size());
      if (used_[i] || !is_movable(peer, blocks) || peer.movable != peer.span.size()) continue;
      if (from_left ? peer.span.end != need.begin : peer.span.begin != need.end) continue;
      const std::uint32_t by = std::min(need.size(), peer.span.size());
      const proto::Span to = from_left ? proto::Span{peer.span.begin + by, peer.span.end + by}
                                       : proto::Span{peer.span.begin - by, peer.span.end - by};
      const proto::Span left =
          from_left ? proto::Span{peer.span.begin, to.begin} : proto::Span{to.end, peer.span.end};
      proto::Span open{left.end, left.begin};  // of what it leaves, what nobody else serves
      for (proto::BlockIndex b = left.begin; b < left.end; ++b) {
        if (servers_[b] != 1) continue;
        open.begin = std::min(open.begin, b);
        open.end = std::max(open.end, b + 1);
      }
      if (open.empty()) return std::make_pair(i, to);
      used_[i] = true;
      order_.push_back(i);
      if (auto found = first(open, from_left)) return found;
      order_.pop_back();
      used_[i] = false;
    }
    return std::nullopt;
  }

 private:
  const std::span<const ServedSpan> swarm_;
  const ServerCounts servers_;
  std::vector<bool> used_;
  std::vector<std::size_t> order_;
};

std::optional<std::pair<std::size_t, Move>> first_of_chain(std::span<const ServedSpan> swarm,
                                                           const ServerCounts& servers) {
  for (const proto::Span& gap : gaps_of(servers)) {
    for (const bool from_left : {true, false}) {
      const auto found = Chain(swarm, servers).first(gap, from_left);
      if (!found) continue;
      Move move{.from = swarm[found->first].span, .to = found->second, .closes = {}};
      move.makes_room = true;
      return std::make_pair(found->first, move);
    }
  }
  return std::nullopt;
}

bool meet(const std::vector<proto::BlockIndex>& a, const std::vector<proto::BlockIndex>& b) {
  return std::ranges::any_of(a, [&](auto block) { return std::ranges::binary_search(b, block); });
}

std::vector<proto::BlockIndex> difference(proto::Span a, proto::Span b) {
  std::vector<proto::BlockIndex> blocks;
  for (proto::BlockIndex block = a.begin; block < a.end; ++block) {
    if (!b.contains(block)) blocks.push_back(block);
  }
  return blocks;
}

// Two moves that are for the same blocks, or leave the same ones, would both rely on the other not
// to happen.
bool conflict(const Move& a, const Move& b) {
  return meet(difference(a.to, a.from), difference(b.to, b.from)) ||
         meet(difference(a.from, a.to), difference(b.from, b.to));
}

}  // namespace

std::string Move::reason() const {
  if (makes_room) return "so that another node can serve blocks that nobody serves";
  if (closes_in_all == 0) {
    return fmt::format("{} has few servers, {} has more", proto::to_string(to),
                       proto::to_string(from));
  }
  // closes is sorted; what lies between its ends is mostly a gap too.
  return fmt::format("nobody serves blocks {}",
                     proto::to_string(proto::Span{closes.front(), closes.back() + 1}));
}

std::optional<Move> best_move(std::span<const ServedSpan> swarm, std::uint32_t block_count,
                              const ServedSpan& mover, std::span<const proto::Span> held,
                              double worth) {
  return best_among(Served(swarm, block_count), mover, held, worth);
}

std::optional<Turn> first_move(std::span<const ServedSpan> swarm, std::uint32_t block_count,
                               const proto::PeerId& self, std::span<const proto::Span> held,
                               double worth) {
  struct Candidate {
    Move move;
    proto::PeerId peer;
  };
  const Served served(swarm, block_count);
  const bool gaps = !gaps_of(served.servers).empty();
  const auto self_at = std::ranges::find(served.peers, self, &ServedSpan::peer);
  if (self_at == served.peers.end()) return std::nullopt;
  // As a rule there is nothing to do, and the others need not be looked at.
  if (!gaps && !best_among(served, *self_at, held, worth)) return std::nullopt;
  std::vector<Candidate> candidates;
  for (const ServedSpan& peer : served.peers) {
    const auto own = peer.peer == self ? held : std::span<const proto::Span>();
    if (auto move = best_among(served, peer, own, worth)) {
      candidates.push_back({*std::move(move), peer.peer});
    }
  }
  if (candidates.empty() && gaps) {
    if (auto first = first_of_chain(served.peers, served.servers)) {
      candidates.push_back({std::move(first->second), served.peers[first->first].peer});
    }
  }
  std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::make_tuple(a.move.closes_in_all, a.move.gain) >
           std::make_tuple(b.move.closes_in_all, b.move.gain);
  });
  const auto own = std::ranges::find(candidates, self, &Candidate::peer);
  if (own == candidates.end()) return std::nullopt;
  Turn turn{own->move, 0};
  for (auto other = candidates.begin(); other != own; ++other) {
    if (conflict(other->move, own->move)) ++turn.before_us;
  }
  return turn;
}

Rebalance::Wish Rebalance::wish_for(const Turn& turn, TimePoint now, double unit) const {
  const bool urgent = turn.move.urgent();
  const auto patience = urgent ? pace_.gap_patience : pace_.speed_patience;
  // What is not urgent is so slow that its pauses are, too.
  const double slower = static_cast<double>(patience.count()) /
                        static_cast<double>(std::max<std::int64_t>(pace_.gap_patience.count(), 1));
  const double pauses =
      static_cast<double>(pace_.turn.count()) * std::min(turn.before_us, kMostTurns) +
      static_cast<double>(pace_.pause.count()) * unit;
  const auto due =
      now + patience + RebalancePace::Duration(static_cast<std::int64_t>(pauses * slower));
  return {urgent, turn.before_us, std::max(due, urgent ? gap_rest_until_ : speed_rest_until_)};
}

Rebalance::Answer Rebalance::look(std::span<const ServedSpan> swarm, std::uint32_t block_count,
                                  const proto::PeerId& self, std::span<const proto::Span> held,
                                  TimePoint now, double unit) {
  // Not all at the same time.
  const auto later = now + RebalancePace::Duration(static_cast<std::int64_t>(
                               static_cast<double>(pace_.look.count()) * (0.8 + 0.4 * unit)));
  auto turn = first_move(swarm, block_count, self, held, pace_.worth);
  if (!turn) {
    wish_.reset();
    return {std::nullopt, later};
  }
  if (!wish_ || wish_->urgent != turn->move.urgent() || turn->before_us > wish_->before_us) {
    wish_ = wish_for(*turn, now, unit);
  }
  if (now >= wish_->due) return {std::move(turn->move), later};
  return {std::nullopt, std::min(later, wish_->due)};
}

void Rebalance::moved(TimePoint now) {
  wish_.reset();
  failures_ = 0;
  gap_rest_until_ = now + pace_.gap_rest;
  speed_rest_until_ = now + pace_.speed_rest;
}

void Rebalance::failed(TimePoint now) {
  wish_.reset();
  gap_rest_until_ = now + pace_.failure_rest * (1u << std::min(failures_, kMostFailures));
  speed_rest_until_ = std::max(gap_rest_until_, now + pace_.speed_rest);
  ++failures_;
}

}  // namespace shoal::node
