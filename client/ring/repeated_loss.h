// SPDX-License-Identifier: Apache-2.0
// Sessions that break again and again for the same reason, before anything came out of them: the
// same hop, or the same pair of hops, fails in the same way. Told once, and tried ever more rarely;
// others are looked for all the time. Pure: time comes in by argument.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "absl/status/status.h"
#include "client/swarm/route.h"
#include "proto/types.h"

namespace shoal::client {

class RepeatedLoss {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kFirstPause{2}, kMostPause{16};

  // A session broke by `culprit`; `before`: who could not push to it, if it was that. True when it
  // is another failure than the last one.
  bool lost(const proto::PeerId& culprit, const std::optional<proto::PeerId>& before,
            absl::Status why, Time now) {
    const bool is_news =
        times_ == 0 || culprit != culprit_ || before != before_ || why.code() != why_.code();
    times_ = is_news ? 1 : times_ + 1;
    culprit_ = culprit;
    before_ = before;
    why_ = std::move(why);
    // The first time may be anything's fault: it is tried again at once.
    const auto pause = kFirstPause * (1 << std::clamp(times_ - 2, 0, 8));
    again_at_ = times_ < 2 ? now : now + std::min<std::chrono::seconds>(pause, kMostPause);
    return is_news;
  }
  void worked() { times_ = 0; }

  // How often in a row.
  int times() const { return times_; }
  // Whether this route would only fail in that way once more, as yet.
  bool is_put_aside(const Route& route, Time now) const {
    if (times_ < 2 || now >= again_at_) return false;
    for (std::size_t hop = 0; hop < route.size(); ++hop) {
      if (route[hop].peer != culprit_) continue;
      return !before_ || (hop > 0 && route[hop - 1].peer == *before_);
    }
    return false;
  }
  const absl::Status& why() const { return why_; }  // the last one

 private:
  int times_ = 0;
  proto::PeerId culprit_;
  std::optional<proto::PeerId> before_;
  absl::Status why_;
  Time again_at_{};
};

}  // namespace shoal::client
