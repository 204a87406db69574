// SPDX-License-Identifier: Apache-2.0
#include "dht/way_choice.h"

#include <algorithm>
#include <utility>

namespace shoal::dht {
namespace {

constexpr std::size_t kMostOthers = 64;

}  // namespace

void WayChoice::asked(TimePoint now) {
  if (!tunnels_ || !udp_ || raced_since_) return;
  raced_since_ = now;
  tunnel_answered_ = internet_by_udp_ = false;
  others_by_udp_.clear();
  others_in_tunnel_.clear();
  other_answered_at_.reset();
  next_probe_.reset();
  probe_until_.reset();
  // Who was in a tunnel goes on there where it still stands, and gives UDP its chance beside it.
  way_ = way_ == Way::kTunnel ? Way::kEither : Way::kUdp;
}

void WayChoice::heard_by_udp(const proto::Endpoint& from, bool joined_by, TimePoint now) {
  if (!udp_) return;
  if (joined_by) return settle(Way::kUdp, now);
  if (!raced_since_) return;
  if (!other_answered_at_) other_answered_at_ = now;
  internet_by_udp_ |= !from.is_private();
  others_in_tunnel_.erase(from);
  if (others_by_udp_.size() < kMostOthers) others_by_udp_.insert(from);
}

void WayChoice::heard_in_tunnel(const proto::Endpoint& from, bool joined_by, TimePoint now) {
  if (!raced_since_) return;
  if (joined_by) {
    tunnel_answered_ = true;
  } else {
    if (!other_answered_at_) other_answered_at_ = now;
    if (!others_by_udp_.contains(from) && others_in_tunnel_.size() < kMostOthers)
      others_in_tunnel_.insert(from);
  }
  handle_timeout(now);
}

void WayChoice::settle(Way way, TimePoint now) {
  way_ = way;
  raced_since_.reset();
  probe_until_.reset();
  next_probe_.reset();
  if (way == Way::kTunnel) next_probe_ = now + kProbeEvery;
}

void WayChoice::handle_timeout(TimePoint now) {
  if (raced_since_) {
    const Duration raced = now - *raced_since_;
    if (tunnel_answered_ && raced >= kPatience) return settle(Way::kTunnel, now);
    if (const auto due = others_due(); !tunnel_answered_ && due && now >= *due) {
      const bool udp_passes = others_in_tunnel_.empty() || internet_by_udp_;
      return settle(udp_passes ? Way::kUdp : Way::kTunnel, now);
    }
    if (raced >= kHeadStart) way_ = Way::kEither;
  }
  if (next_probe_ && now >= *next_probe_) {
    next_probe_ = now + kProbeEvery;
    probe_until_ = now + kProbe;
    probe_due_ = true;
  }
}

std::optional<TimePoint> WayChoice::next(TimePoint now) const {
  if (!raced_since_) return next_probe_;
  for (const Duration step : {kHeadStart, kPatience, kOthersSuffice}) {
    if (now < *raced_since_ + step) return *raced_since_ + step;
  }
  if (const auto due = others_due(); due && now < *due) return due;
  return std::nullopt;  // whoever answers first ends it
}

// When those that we did not join by suffice to decide.
std::optional<TimePoint> WayChoice::others_due() const {
  if (!other_answered_at_) return std::nullopt;
  return std::max(*raced_since_ + kOthersSuffice, *other_answered_at_ + kPatience);
}

bool WayChoice::take_probe() { return std::exchange(probe_due_, false); }

}  // namespace shoal::dht
