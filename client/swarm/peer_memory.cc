// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/peer_memory.h"

#include <algorithm>
#include <cmath>

#include "proto/limits.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxPeers = 4096, kMaxCuts = 1024;
// A failed peer is avoided for so long, twice as long for each time in a row; a refusal, which is
// a matter of load, for less.
constexpr milliseconds kFailureTime{15'000}, kRefusalTime{2'000}, kCutTime{60'000};
constexpr int kMaxDoublings = 6;
constexpr milliseconds kMostPatience{60'000};
// Without a new one for so long, a row of failures is over.
constexpr seconds kForgiven{300};
// What was measured so long ago counts half.
constexpr double kHalfLifeS = 180;
constexpr double kNewMeasureShare = 0.3;
// No machine runs a block in less: the start of one GPU kernel takes longer.
constexpr double kLeastBlockUs = 2;
constexpr double kJitter = 0.1;
// A claim that is missed by more than this says nothing.
constexpr double kBornOut = 4;
// More than any path costs: avoided peers are used where nobody else is, the one that is soonest
// forgiven first.
constexpr double kAvoidedUs = 1e9;
static_assert(kOtherKindUs * proto::kMaxModelBlocks < kAvoidedUs / 4);

double seconds_between(PeerMemory::Time from, PeerMemory::Time to) {
  return std::chrono::duration<double>(to - from).count();
}

template <typename Trouble>
void add(Trouble& trouble, milliseconds time, PeerMemory::Time now) {
  if (now - trouble.until > kForgiven) trouble.times = 0;
  const auto doubled = time * (1 << std::min(trouble.times, kMaxDoublings));
  trouble.until = std::max(trouble.until, now + doubled);
  ++trouble.times;
}

template <typename Map, typename Age>
void bound(Map& map, std::size_t most, Age age) {
  if (map.size() <= most) return;
  map.erase(std::min_element(map.begin(), map.end(), [&](const auto& a, const auto& b) {
    return age(a.second) < age(b.second);
  }));
}

}  // namespace

double claimed_us(const Candidate& candidate) {
  const double claim = candidate.load.block_step_us;
  if (!std::isfinite(claim) || claim <= 0) return kUnknownBlockStepUs;
  return std::max(claim, kLeastBlockUs);
}

PeerMemory::Peer& PeerMemory::touch(const proto::PeerId& peer, Time now) {
  Peer& entry = peers_[peer];
  entry.touched = now;
  bound(peers_, kMaxPeers, [](const Peer& p) { return p.touched; });
  return entry;
}

void PeerMemory::measured(const proto::PeerId& peer, double block_us, Time now) {
  const base::MutexLock lock(mutex_);
  if (!std::isfinite(block_us)) return;
  Peer& entry = touch(peer, now);
  block_us = std::max(block_us, kLeastBlockUs);
  const bool stale = entry.block_us <= 0 || seconds_between(entry.measured_at, now) > kHalfLifeS;
  entry.block_us =
      stale ? block_us : entry.block_us + kNewMeasureShare * (block_us - entry.block_us);
  entry.measured_at = now;
}

void PeerMemory::failed(const proto::PeerId& peer, Time now) {
  const base::MutexLock lock(mutex_);
  add(touch(peer, now).failures, kFailureTime, now);
}

void PeerMemory::refused(const proto::PeerId& peer, milliseconds patience, Time now) {
  const base::MutexLock lock(mutex_);
  Trouble& refusals = touch(peer, now).refusals;
  add(refusals, kRefusalTime, now);
  refusals.until = std::max(refusals.until, now + std::min(patience, kMostPatience));
}

void PeerMemory::cut(const proto::PeerId& from, const proto::PeerId& to, Time now) {
  const base::MutexLock lock(mutex_);
  add(cuts_[{from, to}], kCutTime, now);
  bound(cuts_, kMaxCuts, [](const Trouble& trouble) { return trouble.until; });
  for (const auto& [peer, other] : {std::pair(from, to), std::pair(to, from)}) {
    auto& cuts = touch(peer, now).cuts;
    std::erase_if(cuts, [&](const auto& cut) { return now - cut.second > kForgiven; });
    cuts[other] = now;
    bound(cuts, 16, [](Time time) { return time; });
    if (cuts.size() > 1) add(touch(peer, now).failures, kFailureTime, now);
  }
}

void PeerMemory::worked(const proto::PeerId& peer, Time now) {
  const base::MutexLock lock(mutex_);
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  it->second.touched = now;
  it->second.refusals = {};
}

bool PeerMemory::avoids(const proto::PeerId& peer, Time now) const {
  const base::MutexLock lock(mutex_);
  return is_avoided(peer, now);
}

bool PeerMemory::is_avoided(const proto::PeerId& peer, Time now) const {
  const auto it = peers_.find(peer);
  return it != peers_.end() && now < std::max(it->second.failures.until, it->second.refusals.until);
}

bool PeerMemory::is_cut(const proto::PeerId& from, const proto::PeerId& to, Time now) const {
  const auto it = cuts_.find({from, to});
  return it != cuts_.end() && now < it->second.until;
}

bool PeerMemory::knows(const proto::PeerId& peer, Time now) const {
  const base::MutexLock lock(mutex_);
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return false;
  return is_avoided(peer, now) ||
         (it->second.block_us > 0 && seconds_between(it->second.measured_at, now) < kHalfLifeS);
}

std::set<proto::PeerId> PeerMemory::avoided(Time now) const {
  const base::MutexLock lock(mutex_);
  std::set<proto::PeerId> result;
  for (const auto& [peer, entry] : peers_) {
    if (is_avoided(peer, now)) result.insert(peer);
  }
  return result;
}

bool PeerMemory::is_clean(const Route& route, Time now) const {
  const base::MutexLock lock(mutex_);
  for (std::size_t hop = 0; hop < route.size(); ++hop) {
    if (is_avoided(route[hop].peer, now)) return false;
    if (hop > 0 && is_cut(route[hop - 1].peer, route[hop].peer, now)) return false;
  }
  return true;
}

// Within kJitter above 1, the same for a peer at all times.
double PeerMemory::jitter(const proto::PeerId& peer) const {
  std::uint64_t hash = salt_ ^ 0x9e3779b97f4a7c15u;
  for (const std::uint8_t byte : peer.bytes) {
    hash = (hash ^ byte) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  return 1 + kJitter * static_cast<double>(hash >> 11) / static_cast<double>(1ull << 53);
}

const PeerMemory::Peer* PeerMemory::measured_of(const Candidate& candidate) const {
  const auto it = peers_.find(candidate.peer);
  return it != peers_.end() && it->second.block_us > 0 ? &it->second : nullptr;
}

void PeerMemory::judge(std::vector<Candidate>& candidates, RouteRequest& request, Time now) const {
  const base::MutexLock lock(mutex_);
  // What is usual: of those that bore out their claims, else of all claims; the slower of two.
  std::vector<double> known, claimed;
  for (const Candidate& candidate : candidates) {
    // Whoever is far slower than it says is no measure for others.
    if (const Peer* peer = measured_of(candidate);
        peer && seconds_between(peer->measured_at, now) < kHalfLifeS &&
        peer->block_us < kBornOut * claimed_us(candidate) * (1.0 + candidate.load.queue_depth)) {
      known.push_back(peer->block_us);
    }
    claimed.push_back(claimed_us(candidate));
  }
  std::vector<double>& usual = known.empty() ? claimed : known;
  if (usual.empty()) return;
  const auto middle = usual.begin() + static_cast<std::ptrdiff_t>(usual.size() / 2);
  std::nth_element(usual.begin(), middle, usual.end());
  const double usual_us = *middle;
  for (Candidate& candidate : candidates) {
    // Nobody says of himself that he is slower than he is.
    const double own = claimed_us(candidate) * (1.0 + candidate.load.queue_depth);
    double believed = std::max(own, usual_us) * jitter(candidate.peer);
    if (const Peer* peer = measured_of(candidate)) {
      const double share =
          std::exp2(-std::max(0.0, seconds_between(peer->measured_at, now)) / kHalfLifeS);
      believed = std::exp(share * std::log(peer->block_us) + (1 - share) * std::log(believed));
      believed = std::max(believed, own);
    }
    candidate.load.block_step_us = believed;
    candidate.load.queue_depth = 0;
    if (const auto it = peers_.find(candidate.peer); it != peers_.end()) {
      const Time until = std::max(it->second.failures.until, it->second.refusals.until);
      if (now < until) candidate.penalty_us = kAvoidedUs + seconds_between(now, until) * 1e6;
    }
  }
  for (const auto& [pair, trouble] : cuts_) {
    if (now < trouble.until) request.cuts_us[pair] = kAvoidedUs;
  }
}

}  // namespace shoal::client
