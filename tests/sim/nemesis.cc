// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/nemesis.h"

#include <algorithm>

namespace shoal::sim {

Nemesis::Nemesis(Swarm& swarm, const Knobs& knobs, Hooks hooks)
    : swarm_(swarm), knobs_(knobs), hooks_(std::move(hooks)), random_(swarm.random().next()) {}

dht::Duration Nemesis::draw(double least_s, double most_s) {
  return dht::Duration(
      static_cast<std::int64_t>(1e9 * (least_s + (most_s - least_s) * random_.unit())));
}

std::optional<PeerIndex> Nemesis::victim() {
  std::vector<PeerIndex> up;
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    if (swarm_.is_honest(peer) && swarm_.is_up(peer)) up.push_back(peer);
  }
  if (up.empty()) return std::nullopt;
  return up[random_.below(up.size())];
}

void Nemesis::start(dht::TimePoint until) {
  until_ = until;
  if (knobs_.faults_per_s > 0) next();
}

void Nemesis::next() {
  const auto wait =
      dht::Duration(static_cast<std::int64_t>(random_.exponential(1e9 / knobs_.faults_per_s)));
  if (wait >= rest()) return;
  swarm_.after(wait, [this] {
    strike();
    next();
  });
}

void Nemesis::strike() {
  const auto peer = victim();
  if (!peer) return;
  const auto longest = std::min(kLongest, rest());
  const auto wait = std::min(longest, draw(0.5, 40));
  switch (random_.below(8)) {
    case 0:
    case 1:
      return crash(*peer);
    case 2:
      return swarm_.pause(*peer, wait);
    case 3:
      return swarm_.network().clog(*peer, swarm_.now() + wait);
    case 4:
    case 5:
      return cut();
    case 6:
      if (*peer >= kBootstraps) swarm_.move(*peer);
      return;
    case 7:
      return sleep(*peer);
  }
}

void Nemesis::sleep(PeerIndex peer) {
  const dht::Duration slept = random_.chance(0.5) ? draw(1, 60) : draw(60, 3600);
  if (slept > kLongSleep && hooks_.slept) hooks_.slept(peer);
  swarm_.jump_clock(peer, slept);
}

void Nemesis::crash(PeerIndex peer) {
  Dead dead{peer, static_cast<Disk>(random_.below(3)), {}};
  if (peer < kBootstraps && dead.disk == Disk::kIdentityLost) dead.disk = Disk::kTableLost;
  if (dead.disk == Disk::kKept) {
    swarm_.core(peer).table().for_each(
        [&](const dht::RoutingTable::Entry& entry) { dead.known.push_back(entry.contact); });
  }
  swarm_.crash(peer);
  if (hooks_.died) hooks_.died(peer);
  if (peer >= kBootstraps && random_.chance(0.25)) return;  // for good
  dead_.push_back(std::move(dead));
  swarm_.after(std::min(rest(), draw(0.2, 60)), [this, peer] { bring_back(peer); });
}

void Nemesis::bring_back(PeerIndex peer) {
  const auto it =
      std::find_if(dead_.begin(), dead_.end(), [&](const Dead& dead) { return dead.peer == peer; });
  if (it == dead_.end()) return;
  const Dead dead = std::move(*it);
  dead_.erase(it);
  if (dead.disk == Disk::kIdentityLost) {
    swarm_.restart(peer, swarm_.draw_identity());
  } else {
    swarm_.restart(peer);
  }
  if (hooks_.returned) hooks_.returned(peer, dead.known);
}

void Nemesis::cut() {
  Network& network = swarm_.network();
  network.heal();
  const std::uint64_t shape = random_.below(3);  // both ways, one way, or with a bridge
  for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
    const bool bridge = shape == 2 && random_.chance(0.2);
    network.set_group(peer, bridge ? 2 : random_.below(2));
  }
  network.cut(0, 1, true);
  if (shape != 1) network.cut(1, 0, true);
  swarm_.after(std::min(rest(), draw(2, 40)), [this] { swarm_.network().heal(); });
}

void Nemesis::heal() {
  swarm_.network().heal();
  while (!dead_.empty()) bring_back(dead_.front().peer);
}

}  // namespace shoal::sim
