// SPDX-License-Identifier: Apache-2.0
#include "node/serve/shares.h"

#include <algorithm>
#include <tuple>

#include "dht/diversity.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// A client opens its sessions before its first step; a route takes so long at most to stand.
constexpr milliseconds kStartGrace{5'000};
// Within a share: a reader between two questions. Beyond it: anything but work.
constexpr milliseconds kIdleTooLong{15'000};
constexpr milliseconds kIdleBeyondShare{5'000};
// The longer somebody waits, the less it takes. A generation at work makes several steps a second;
// a token now and then is no work.
constexpr milliseconds kWaitedLong{5'000};
constexpr milliseconds kPauseBeyondShare{2'000};
constexpr milliseconds kWaitedTooLong{10'000};
constexpr milliseconds kPause{3'000};
// A client comes again after at most ten seconds.
constexpr milliseconds kForgotten{12'000};
constexpr std::size_t kMaxWaiting = 1024;

// Sessions, or positions.
struct Counts {
  std::map<proto::PeerId, std::int64_t> peers;
  std::map<std::uint64_t, std::int64_t> networks;

  void add(const Holding& holding, std::int64_t amount) {
    peers[holding.peer] += amount;
    networks[holding.network] += amount;
  }
};

class Decision {
 public:
  Decision(std::vector<Holding> holdings, const Newcomer& newcomer, const Need& need)
      : holdings_(std::move(holdings)), newcomer_(newcomer), need_(need) {
    for (const Holding& holding : holdings_) {
      sessions_.add(holding, 1);
      positions_.add(holding, holding.leased);
    }
    std::int64_t positions = 0;
    for (const auto& [peer, held] : positions_.peers) positions += held;
    const auto peers = static_cast<std::int64_t>(positions_.peers.size());
    modest_ = positions_.peers[newcomer.peer] + need.positions <= 2 * positions / (peers + 1);
  }

  std::optional<Concession> take() {
    while (need_.sessions > 0) {
      if (!end_one(sessions_, 1)) return std::nullopt;
    }
    const std::int64_t wanted = need_.positions;
    while (need_.positions > 0 && shrink_one(wanted)) {
    }
    while (need_.positions > 0) {
      if (!end_one(positions_, wanted)) return std::nullopt;
    }
    return std::move(result_);
  }

 private:
  using Rank = std::tuple<bool, bool, milliseconds>;

  // How soon this one has to give way for somebody who then has `amount` more; nullopt: not at all.
  std::optional<Rank> rank(const Holding& holding, Counts& counts, std::int64_t amount) const {
    if (holding.peer == newcomer_.peer) return std::nullopt;
    const bool neighbours = holding.network == newcomer_.network;
    const std::int64_t theirs =
        neighbours ? counts.peers[holding.peer] : counts.networks[holding.network];
    const std::int64_t ours =
        neighbours ? counts.peers[newcomer_.peer] : counts.networks[newcomer_.network];
    const bool beyond_share = theirs > ours + amount;
    // No network takes from another one that has less, and nobody from those within their share who
    // wants far more than his own.
    const bool may_take = (neighbours || theirs > ours) && modest_;
    const milliseconds idle = holding.working ? milliseconds(0) : holding.idle;
    const bool never = !holding.stepped && !holding.working;
    const bool gives_way =
        (may_take && ((never && idle >= kStartGrace) || idle >= kIdleTooLong ||
                      (newcomer_.waited >= kWaitedTooLong && idle >= kPause))) ||
        (beyond_share && (idle >= kIdleBeyondShare || newcomer_.waited >= kWaitedTooLong ||
                          (newcomer_.waited >= kWaitedLong && idle >= kPauseBeyondShare)));
    if (!gives_way) return std::nullopt;
    return Rank{never, beyond_share, idle};
  }

  template <typename Useful>
  Holding* first(Counts& counts, std::int64_t amount, Useful useful) {
    Holding* best = nullptr;
    Rank best_rank;
    for (Holding& holding : holdings_) {
      if (!useful(holding)) continue;
      const auto rank = this->rank(holding, counts, amount);
      if (!rank || (best != nullptr && *rank <= best_rank)) continue;
      best = &holding;
      best_rank = *rank;
    }
    return best;
  }

  bool end_one(Counts& counts, std::int64_t amount) {
    const bool for_session = &counts == &sessions_;
    Holding* const victim = first(
        counts, amount, [&](const Holding& holding) { return for_session || holding.leased > 0; });
    if (victim == nullptr) return false;
    result_.end.push_back(victim->key);
    std::erase(result_.shrink, victim->key);
    sessions_.add(*victim, -1);
    positions_.add(*victim, -victim->leased);
    --need_.sessions;
    need_.positions -= victim->leased;
    holdings_.erase(holdings_.begin() + (victim - holdings_.data()));
    return true;
  }

  bool shrink_one(std::int64_t wanted) {
    Holding* const victim = first(positions_, wanted, [](const Holding& holding) {
      return !holding.working && holding.leased > holding.filled;
    });
    if (victim == nullptr) return false;
    const std::int64_t given = victim->leased - victim->filled;
    result_.shrink.push_back(victim->key);
    positions_.add(*victim, -given);
    need_.positions -= given;
    victim->leased = victim->filled;
    return true;
  }

  std::vector<Holding> holdings_;
  const Newcomer newcomer_;
  Need need_;
  Counts sessions_;
  Counts positions_;
  bool modest_ = false;
  Concession result_;
};

}  // namespace

std::uint64_t network_of(const proto::Endpoint& caller) {
  return dht::is_exempt(caller) ? 0 : dht::narrow_network(caller);
}

std::optional<Concession> who_gives_way(std::vector<Holding> holdings, const Newcomer& newcomer,
                                        const Need& need) {
  return Decision(std::move(holdings), newcomer, need).take();
}

WaitingLine::Milliseconds WaitingLine::refused(const proto::PeerId& peer, Milliseconds now) {
  auto found = waiting_.find(peer);
  if (found == waiting_.end() && waiting_.size() >= kMaxWaiting) {
    std::erase_if(waiting_,
                  [&](const auto& entry) { return now - entry.second.last > kForgotten; });
    if (waiting_.size() >= kMaxWaiting) return Milliseconds(0);
  }
  if (found == waiting_.end() || now - found->second.last > kForgotten) {
    waiting_[peer] = {now, now};
    return Milliseconds(0);
  }
  found->second.last = now;
  return now - found->second.first;
}

}  // namespace shoal::node
