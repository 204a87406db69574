// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/network.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace shoal::sim {
namespace {

constexpr std::size_t kQuantiles = 4096;

// Quantiles of the normal distribution, by bisection on its distribution function.
const std::vector<double>& normal_quantiles() {
  static const std::vector<double> table = [] {
    std::vector<double> result(kQuantiles);
    for (std::size_t i = 0; i < kQuantiles; ++i) {
      const double p = (static_cast<double>(i) + 0.5) / kQuantiles;
      double low = -8, high = 8;
      for (int step = 0; step < 60; ++step) {
        const double middle = (low + high) / 2;
        (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
      }
      result[i] = low;
    }
    return result;
  }();
  return table;
}

}  // namespace

Network::Network(const LinkModel& model, std::uint64_t seed)
    : model_(model), seed_(mix(seed)), random_(seed_) {
  round_trips_ns_.reserve(kQuantiles);
  for (const double z : normal_quantiles()) {
    round_trips_ns_.push_back(
        static_cast<float>(model_.median_rtt_ms * 1e6 * std::exp(model_.sigma * z)));
  }
}

dht::Duration Network::round_trip(PeerIndex a, PeerIndex b) const {
  const std::uint64_t pair = std::uint64_t{std::min(a, b)} << 32 | std::max(a, b);
  return dht::Duration(static_cast<std::int64_t>(round_trips_ns_[mix(seed_ ^ pair) % kQuantiles]));
}

dht::Duration Network::shortest_way() const {
  return dht::Duration(static_cast<std::int64_t>(round_trips_ns_.front()) / 2);
}

Network::Fate Network::send(PeerIndex from, PeerIndex to, dht::TimePoint now) {
  Fate fate;
  if (cuts_[group(from)][group(to)]) return fate;
  if (!filtered_.empty() && !passes_filters(from, to, now)) return fate;
  const int copies = random_.chance(model_.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (random_.chance(model_.loss)) continue;
    const double one_way = static_cast<double>(round_trip(from, to).count()) / 2;
    double delay = one_way * (1 + model_.jitter * random_.unit());
    if (random_.chance(model_.slow)) delay += random_.exponential(model_.slow_mean_ms * 1e6);
    Copy copy;
    copy.delay = dht::Duration(static_cast<std::int64_t>(delay));
    copy.corrupt = random_.chance(model_.corruption);
    for (const auto& [peer, until] : clogs_) {
      if (peer == from || peer == to) copy.delay = std::max(copy.delay, until - now);
    }
    fate.copies[fate.count++] = copy;
  }
  return fate;
}

void Network::set_group(PeerIndex peer, std::size_t group) {
  CHECK(group < kGroups);
  if (peer >= groups_.size()) groups_.resize(peer + 1);
  groups_[peer] = static_cast<std::uint8_t>(group);
}

void Network::cut(std::size_t from_group, std::size_t to_group, bool cut) {
  cuts_.at(from_group).at(to_group) = cut;
}

void Network::set_filtered(PeerIndex peer, bool filtered) {
  if (filtered) {
    filtered_[peer];
  } else {
    filtered_.erase(peer);
  }
}

// That the receiver's filter is asked when the datagram is sent, not when it arrives, changes
// nothing that lasts longer than a delay.
bool Network::passes_filters(PeerIndex from, PeerIndex to, dht::TimePoint now) {
  if (const auto sender = filtered_.find(from); sender != filtered_.end()) sender->second[to] = now;
  const auto receiver = filtered_.find(to);
  if (receiver == filtered_.end()) return true;
  const auto written = receiver->second.find(from);
  return written != receiver->second.end() && now - written->second < kNatMemory;
}

void Network::clog(PeerIndex peer, dht::TimePoint until) {
  std::erase_if(clogs_, [&](const auto& clog) { return clog.first == peer; });
  clogs_.emplace_back(peer, until);
}

void Network::heal() {
  groups_.clear();
  cuts_ = {};
  clogs_.clear();
}

}  // namespace shoal::sim
