// SPDX-License-Identifier: Apache-2.0
// Notices that this process, or the whole machine, stood still: whoever looks every second or two
// and finds that much more has passed was stopped (SIGSTOP) or slept (suspend, which only the clock
// of boot time counts). Value class: the clocks' readings come by argument.
#pragma once

#include <chrono>
#include <optional>
#include <utility>

namespace shoal::node {

class WakeWatch {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  // `steady` stops while the machine sleeps, `boot` does not; both since any beginning. True when
  // since the last call, `step` ago at most by plan, one of them has leapt.
  bool woke(Nanoseconds steady, Nanoseconds boot, Nanoseconds step) {
    const auto before = std::exchange(last_, Reading{steady, boot});
    if (!before) return false;
    const Nanoseconds passed = steady - before->steady;
    return passed > step + kPatience || boot - before->boot > passed + kPatience;
  }

 private:
  // A busy machine may be late by seconds; NATs and leases outlive that.
  static constexpr std::chrono::seconds kPatience{4};
  struct Reading {
    Nanoseconds steady, boot;
  };
  std::optional<Reading> last_;
};

}  // namespace shoal::node
