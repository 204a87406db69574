// SPDX-License-Identifier: Apache-2.0
// Which of the last 64 counters of a session were seen: each counter is accepted once, old ones
// never. Plain value.
#pragma once

#include <cstdint>

namespace shoal::dht {

class ReplayWindow {
 public:
  static constexpr std::uint64_t kWidth =
      64;  // reordering within 64 datagrams of one session is harmless

  bool fresh(std::uint64_t counter) const {
    if (counter > highest_ || !any_) return true;
    const std::uint64_t age = highest_ - counter;
    return age < kWidth && (seen_ >> age & 1) == 0;
  }
  // Only after the datagram proved authentic.
  void mark(std::uint64_t counter) {
    if (!any_) {
      any_ = true;
      highest_ = counter;
      seen_ = 1;
    } else if (counter > highest_) {
      const std::uint64_t step = counter - highest_;
      seen_ = step >= kWidth ? 1 : seen_ << step | 1;
      highest_ = counter;
    } else {
      seen_ |= std::uint64_t{1} << (highest_ - counter);
    }
  }

 private:
  bool any_ = false;
  std::uint64_t highest_ = 0;
  std::uint64_t seen_ = 0;
};

}  // namespace shoal::dht
