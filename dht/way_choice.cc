// SPDX-License-Identifier: Apache-2.0
#include "dht/way_choice.h"

#include <utility>

namespace shoal::dht {

void WayChoice::asked(TimePoint now) {
  if (!tunnels_ || !udp_ || raced_since_) return;
  raced_since_ = now;
  tunnel_answered_ = others_answered_ = false;
  next_probe_.reset();
  probe_until_.reset();
  // Who was in a tunnel goes on there where it still stands, and gives UDP its chance beside it.
  way_ = way_ == Way::kTunnel ? Way::kEither : Way::kUdp;
}

void WayChoice::heard_by_udp(bool joined_by, TimePoint now) {
  if (!udp_) return;
  if (joined_by) return settle(Way::kUdp, now);
  others_answered_ = true;
}

void WayChoice::heard_in_tunnel(TimePoint now) {
  if (!raced_since_) return;
  tunnel_answered_ = true;
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
    if (!tunnel_answered_ && others_answered_ && raced >= kOthersSuffice)
      return settle(Way::kUdp, now);
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
  return std::nullopt;  // whoever answers first ends it
}

bool WayChoice::take_probe() { return std::exchange(probe_due_, false); }

}  // namespace shoal::dht
