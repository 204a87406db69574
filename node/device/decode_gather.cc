// SPDX-License-Identifier: Apache-2.0
#include "node/device/decode_gather.h"

#include <algorithm>

namespace shoal::node {
namespace {

// Of the time of one row, which is what a batch of its own would cost everybody: less than that is
// won even where a session never comes back.
constexpr double kPatience = 0.25;

}  // namespace

DecodeGather::DecodeGather(Clock::duration row)
    : patience_(std::chrono::duration_cast<Clock::duration>(row * kPatience)) {}

void DecodeGather::computed(SessionKey key, Clock::time_point now) {
  Session& session = sessions_[key];
  session.computed = now;
  session.away = true;
}

void DecodeGather::arrived(SessionKey key, Clock::time_point now) {
  const auto found = sessions_.find(key);
  if (found == sessions_.end() || !found->second.away) return;
  found->second.away = false;
  found->second.quick = now - found->second.computed <= patience_;
}

void DecodeGather::closed(SessionKey key) { sessions_.erase(key); }

DecodeGather::Clock::time_point DecodeGather::wait_until(Clock::time_point now) const {
  Clock::time_point until = now;
  for (const auto& [key, session] : sessions_) {
    if (session.away && session.quick) until = std::max(until, session.computed + patience_);
  }
  return until;
}

}  // namespace shoal::node
