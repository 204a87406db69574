// SPDX-License-Identifier: Apache-2.0
#include "node/member/relay_choice.h"

#include <algorithm>

#include "dht/diversity.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// Tried at the same time, for each relay that is wanted.
constexpr std::size_t kTriedAtOnce = 4;
constexpr std::size_t kMaxKnownRelays = 64;
// A second relay in the network of the first one waits so long for another.
constexpr auto kOtherNetworkWait = milliseconds(1'500);
constexpr auto kRetryLeast = milliseconds(5'000);
constexpr auto kRetryMost = milliseconds(600'000);
// One that was good: its link may have been lost for a moment.
constexpr auto kRetryLost = milliseconds(1'000);

}  // namespace

RelayChoice::Known* RelayChoice::find(const proto::Endpoint& at) {
  const auto found =
      std::ranges::find_if(known_, [&](const Known& known) { return known.candidate.at == at; });
  return found == known_.end() ? nullptr : &*found;
}

void RelayChoice::learn(std::span<const RelayCandidate> candidates) {
  for (const RelayCandidate& candidate : candidates) {
    if (Known* known = find(candidate.at); known != nullptr) {
      if (known->state == State::kIdle) known->candidate = candidate;
      continue;
    }
    if (known_.size() >= kMaxKnownRelays) {
      // Whoever is no longer named makes room.
      const auto old = std::ranges::find_if(known_, [&](const Known& known) {
        return known.state == State::kIdle &&
               std::ranges::find(candidates, known.candidate) == candidates.end();
      });
      if (old == known_.end()) return;
      known_.erase(old);
    }
    known_.push_back({.candidate = candidate});
  }
}

bool RelayChoice::shares_network(const proto::Endpoint& at) const {
  if (dht::is_exempt(at)) return false;
  return std::ranges::any_of(relays_, [&](const Relay& relay) {
    return !dht::is_exempt(relay.at) && dht::narrow_network(relay.at) == dht::narrow_network(at);
  });
}

std::vector<RelayCandidate> RelayChoice::due(Time now) {
  std::vector<RelayCandidate> result;
  promote(now);
  if (!is_needed()) return result;
  auto tried = static_cast<std::size_t>(
      std::ranges::count(known_, State::kTried, [](const Known& known) { return known.state; }));
  // A relay in a local network is of use to neighbours alone: only where there is no other.
  const bool any_public = std::ranges::any_of(known_, [](const Known& known) {
    return known.failures == 0 && !dht::is_exempt(known.candidate.at);
  });
  // Those that failed least, in the order in which they were named.
  std::vector<Known*> order;
  for (Known& known : known_) {
    if (any_public && dht::is_exempt(known.candidate.at)) continue;
    if (known.state == State::kIdle && now >= known.not_before) order.push_back(&known);
  }
  std::ranges::stable_sort(order, {}, [](const Known* known) { return known->failures; });
  for (Known* known : order) {
    if (tried >= kTriedAtOnce) break;
    const bool same_peer =
        known->candidate.peer && std::ranges::any_of(known_, [&](const Known& other) {
          return other.state != State::kIdle && other.candidate.peer == known->candidate.peer;
        });
    if (same_peer) continue;  // by another address
    known->state = State::kTried;
    result.push_back(known->candidate);
    ++tried;
  }
  return result;
}

void RelayChoice::keep(Known& known) {
  known.state = State::kKept;
  known.failures = 0;
  relays_.push_back({known.candidate.at, *known.candidate.peer});
}

void RelayChoice::took(const proto::Endpoint& at, const proto::PeerId& peer, Time now) {
  Known* known = find(at);
  if (known == nullptr || known->state == State::kKept) return;
  const bool twice =
      std::ranges::any_of(relays_, [&](const Relay& relay) { return relay.peer == peer; });
  known->candidate.peer = peer;
  known->took_at = now;
  known->state = State::kSpare;
  if (twice) {  // the same one by two of its addresses
    known->not_before = now + kRetryMost;
    return;
  }
  promote(now);
}

void RelayChoice::promote(Time now) {
  for (Known& known : known_) {
    if (!is_needed()) return;
    if (known.state != State::kSpare || now < known.not_before) continue;
    if (shares_network(known.candidate.at) && now < known.took_at + kOtherNetworkWait) continue;
    if (std::ranges::any_of(
            relays_, [&](const Relay& relay) { return relay.peer == known.candidate.peer; })) {
      continue;
    }
    keep(known);
  }
}

void RelayChoice::failed(const proto::Endpoint& at, milliseconds retry, Time now) {
  Known* known = find(at);
  if (known == nullptr || known->state == State::kIdle) return;
  if (known->state == State::kKept) return lost(at, now);
  known->state = State::kIdle;
  const auto pause = kRetryLeast * (1 << std::min(known->failures, 7));
  ++known->failures;
  known->not_before =
      now + std::clamp(std::max(retry, milliseconds(pause)), kRetryLeast, kRetryMost);
}

void RelayChoice::lost(const proto::Endpoint& at, Time now) {
  std::erase_if(relays_, [&](const Relay& relay) { return relay.at == at; });
  Known* known = find(at);
  if (known == nullptr || known->state == State::kIdle) return;
  known->state = State::kIdle;
  known->not_before = now + kRetryLost;
}

std::vector<proto::Endpoint> RelayChoice::surplus(Time now) {
  std::vector<proto::Endpoint> result;
  for (Known& known : known_) {
    const bool twice = known.state == State::kSpare && now < known.not_before;
    const bool waits = known.state == State::kSpare || known.state == State::kTried;
    if (!twice && (!waits || is_needed())) continue;
    known.state = State::kIdle;
    result.push_back(known.candidate.at);
  }
  return result;
}

std::optional<RelayChoice::Time> RelayChoice::next(Time now) const {
  if (!is_needed()) return std::nullopt;
  std::optional<Time> next;
  const auto consider = [&](Time time) {
    time = std::max(time, now);
    if (!next || time < *next) next = time;
  };
  for (const Known& known : known_) {
    if (known.state == State::kIdle) consider(known.not_before);
    if (known.state == State::kSpare) consider(known.took_at + kOtherNetworkWait);
  }
  return next;
}

}  // namespace shoal::node
