// SPDX-License-Identifier: Apache-2.0
#include "node/member/join_wait.h"

#include <algorithm>
#include <limits>

namespace shoal::node {
namespace {

// The directory asks again every 400 ms within one try, so a try is long and a pause may be short.
constexpr std::uint32_t kTryMs = 8'000;
// Somebody may be looking at the terminal: what is wrong is said soon.
constexpr std::uint32_t kFirstTryMs = 3'000;
constexpr std::uint32_t kFirstPauseMs = 500;
// Nobody should wait much longer for a swarm that is there again.
constexpr std::uint32_t kMaxPauseMs = 10'000;
constexpr std::uint64_t kTellAgainMs = 60'000;

}  // namespace

std::uint64_t JoinWait::left_ms(std::uint64_t elapsed_ms) const {
  if (!limit_ms_) return std::numeric_limits<std::uint64_t>::max();
  return *limit_ms_ > elapsed_ms ? *limit_ms_ - elapsed_ms : 0;
}

std::uint32_t JoinWait::try_ms(std::uint64_t elapsed_ms) const {
  // A limit that allows for one try only gets one whole one.
  const bool first = failures_ == 0 && (!limit_ms_ || *limit_ms_ > kTryMs);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(first ? kFirstTryMs : kTryMs, left_ms(elapsed_ms)));
}

std::optional<std::uint32_t> JoinWait::pause_ms(std::uint64_t elapsed_ms, double unit) {
  const std::uint32_t grown = kFirstPauseMs << std::min<std::uint32_t>(failures_++, 8);
  const std::uint32_t longest = std::min(grown, kMaxPauseMs);
  const auto pause = static_cast<std::uint32_t>(longest * (0.5 + 0.5 * unit));
  // A pause that ends at the limit leaves no time for a try.
  const std::uint64_t left = left_ms(elapsed_ms);
  if (left == 0 || (limit_ms_ && left <= kFirstPauseMs / 2)) return std::nullopt;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(pause, left / 2));
}

bool JoinWait::tell(std::uint64_t elapsed_ms) {
  if (told_ms_ && elapsed_ms < *told_ms_ + kTellAgainMs) return false;
  told_ms_ = elapsed_ms;
  return true;
}

}  // namespace shoal::node
