// SPDX-License-Identifier: Apache-2.0
#include "net/fair_rate.h"

namespace shoal::net {
namespace {

using Seconds = std::chrono::duration<double>;

// Between two counts of who is active.
constexpr std::chrono::milliseconds kRecount{5};

}  // namespace

FairRate::Peer& FairRate::fill(const proto::PeerId& id, Time now) {
  auto found = peers_.find(id);
  const bool is_new = found == peers_.end() || now - found->second.asked > kActive;
  if (found == peers_.end()) {
    if (peers_.size() >= kRemembered) {
      std::erase_if(peers_, [&](const auto& entry) {
        TokenBucket budget = entry.second.budget;
        return now - entry.second.asked > kActive && budget.is_full(now);
      });
    }
    found = peers_.try_emplace(id, of_peer_, now).first;
  }
  Peer& peer = found->second;
  peer.asked = now;
  if (is_new || now - counted_ > kRecount) {
    active_ = 0;
    for (const auto& [other, state] : peers_) active_ += now - state.asked <= kActive ? 1 : 0;
    counted_ = now;
  }
  const double earned = Seconds(now - peer.filled).count() * part();
  peer.level = std::min(peer.level + earned, kBurst);
  peer.filled = now;
  return peer;
}

std::uint64_t FairRate::allowed(const proto::PeerId& id, Time now) {
  Peer& peer = fill(id, now);
  if (peer.level < kLeast || !peer.budget.has(now, kLeast)) return 0;
  return static_cast<std::uint64_t>(peer.level);
}

void FairRate::charge(const proto::PeerId& id, std::uint64_t bytes, Time now) {
  Peer& peer = fill(id, now);
  peer.level -= static_cast<double>(bytes);
  peer.budget.charge(now, static_cast<double>(bytes));
}

FairRate::Time FairRate::later(const proto::PeerId& id, Time now) {
  Peer& peer = fill(id, now);
  double seconds = std::max(kLeast - peer.level, 0.0) / part();
  if (!peer.budget.has(now, kLeast)) {
    const Time paid = peer.budget.charge(now, 0);
    seconds = std::max(seconds, Seconds(paid - now).count() + kLeast / of_peer_.per_second);
  }
  return now + std::chrono::ceil<std::chrono::milliseconds>(Seconds(std::max(seconds, 0.001)));
}

}  // namespace shoal::net
