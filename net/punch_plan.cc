// SPDX-License-Identifier: Apache-2.0
#include "net/punch_plan.h"

#include <algorithm>

#include "proto/limits.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMinPunchWindow{200};
constexpr milliseconds kMaxPunchWindow{1'500};
// RFC 6298 has a first packet sent again after a second.
constexpr milliseconds kSentAgain{1'000};
// What cannot be punched stays relayed for so long; a try under way is not begun twice.
constexpr std::chrono::minutes kFailedPause{60};
constexpr std::chrono::seconds kBegunPause{30};
// Peers that are remembered, and whose budgets are: as channels, and connections.
constexpr std::size_t kMaxPunchMemory = 4 * proto::kMaxChannels;
constexpr std::size_t kMaxPunchBudgets = proto::kMaxConnections;
constexpr std::size_t kMaxPunchRelays = 64;  // a node has two at a time
// A peer asks once, and again when its network changed.
constexpr Rate kPunchesOfPeer{4, 1.0 / 60};
constexpr Rate kPunchesOfRelay{16, 0.5};
constexpr Rate kPunchesOfAll{32, 1};
// What may be dialled of what the other end names.
constexpr std::uint16_t kLeastPunchPort = 1'024;
constexpr std::size_t kPublicPorts = 2;

bool same_machine(const proto::Endpoint& a, const proto::Endpoint& b) {
  return a.address == b.address;
}

void add_once(std::vector<proto::Endpoint>& to, const proto::Endpoint& endpoint) {
  if (to.size() < proto::kMaxPunchCandidates && std::ranges::find(to, endpoint) == to.end())
    to.push_back(endpoint);
}

}  // namespace

std::vector<proto::Endpoint> punch_candidates(const std::optional<proto::Endpoint>& seen,
                                              const std::vector<proto::Endpoint>& own,
                                              std::uint16_t port) {
  std::vector<proto::Endpoint> result;
  if (seen && seen->is_usable()) result.push_back(*seen);
  for (proto::Endpoint address : own) {
    address.port = port;
    if (address.is_usable() && !address.is_loopback()) add_once(result, address);
  }
  return result;
}

std::vector<proto::Endpoint> punch_targets(const std::vector<proto::Endpoint>& told,
                                           const proto::Endpoint& seen,
                                           const std::optional<proto::Endpoint>& seen_us) {
  const bool neighbours = seen_us && same_machine(seen, *seen_us);
  std::vector<proto::Endpoint> result;
  std::size_t of_seen = 0;
  std::uint16_t private_port = 0;
  for (const proto::Endpoint& candidate : told) {
    if (!candidate.is_usable() || candidate.is_loopback() || candidate.port < kLeastPunchPort)
      continue;
    if (seen_us && candidate == *seen_us) continue;
    if (std::ranges::find(result, candidate) != result.end()) continue;
    if (same_machine(candidate, seen)) {
      if (++of_seen <= kPublicPorts) add_once(result, candidate);
      continue;
    }
    // Behind one address of a provider, 192.168.1.2 may be somebody else's; who answers is proven
    // by TLS, and it is our own network that hears of it. Whoever has several such addresses has
    // one port at all of them.
    if (!neighbours || !candidate.is_private()) continue;
    if (private_port == 0) private_port = candidate.port;
    if (candidate.port == private_port) add_once(result, candidate);
  }
  return result;
}

milliseconds punch_window(const PunchTry& tried, milliseconds round_trip) {
  const milliseconds window = std::clamp(3 * round_trip, kMinPunchWindow, kMaxPunchWindow);
  if (!tried.again) return window;
  return std::clamp(kSentAgain + round_trip, window, kMaxPunchWindow);
}

bool PunchMemory::begin(const proto::PeerId& peer, Time now) {
  const auto found = not_before_.find(peer);
  if (found != not_before_.end() && now < found->second) return false;
  if (not_before_.size() >= kMaxPunchMemory)
    std::erase_if(not_before_, [&](const auto& entry) { return now >= entry.second; });
  if (not_before_.size() >= kMaxPunchMemory) return false;
  not_before_[peer] = now + kBegunPause;
  return true;
}

void PunchMemory::failed(const proto::PeerId& peer, Time now) {
  const auto found = not_before_.find(peer);
  if (found != not_before_.end()) found->second = now + kFailedPause;
}

PunchBudget::PunchBudget(Time now) : all_(kPunchesOfAll, now) {}

bool PunchBudget::take(const proto::PeerId& peer, const std::optional<proto::PeerId>& relay,
                       Time now) {
  if (!all_.has(now, 1)) return false;
  TokenBucket* of_relay = nullptr;
  if (relay) {
    if (relays_.size() >= kMaxPunchRelays) {
      std::erase_if(relays_, [&](const auto& entry) {
        TokenBucket bucket = entry.second;
        return bucket.is_full(now);
      });
    }
    if (relays_.size() >= kMaxPunchRelays && !relays_.contains(*relay)) return false;
    of_relay = &relays_.try_emplace(*relay, kPunchesOfRelay, now).first->second;
    if (!of_relay->has(now, 1)) return false;
  }
  if (peers_.size() >= kMaxPunchBudgets) {
    for (auto entry = peers_.begin(); entry != peers_.end();)
      entry = entry->second.is_full(now) ? peers_.erase(entry) : std::next(entry);
  }
  const auto found = peers_.find(peer);
  if (found == peers_.end() && peers_.size() >= kMaxPunchBudgets) return false;
  TokenBucket& own = found != peers_.end()
                         ? found->second
                         : peers_.emplace(peer, TokenBucket(kPunchesOfPeer, now)).first->second;
  // Whoever has no budget of its own costs nothing of the others'.
  if (!own.take(now)) return false;
  if (of_relay != nullptr) of_relay->take(now);
  return all_.take(now);
}

}  // namespace shoal::net
