// SPDX-License-Identifier: Apache-2.0
#include "cli/byte_progress.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace shoal::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kWorthLines{2};  // not worth a line that stays
constexpr int kPercentApart = 10;

}  // namespace

std::function<void(std::uint64_t done, std::uint64_t all)> byte_progress(
    ProgressLine& line, std::string what, std::function<void(const std::string& text)> say) {
  return [&line, what = std::move(what), say = std::move(say), begun = Clock::now(), told = 0](
             std::uint64_t done, std::uint64_t all) mutable {
    const auto now = Clock::now();
    if (done == 0) {
      begun = now;
      told = 0;
    }
    if (line.on_terminal()) {
      if (done == all) return line.clear();
      return line.show(what, done >> 20, all >> 20, "MiB");
    }
    if (all == 0 || now - begun < kWorthLines) return;
    const int percent =
        static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(all));
    if (percent < told + kPercentApart && done < all) return;
    told = percent / kPercentApart * kPercentApart;
    const double mib_s =
        static_cast<double>(done) / 0x1p20 / std::chrono::duration<double>(now - begun).count();
    std::string text =
        fmt::format("{}: {} % of {} MiB, {:.0f} MiB/s", what, percent, all >> 20, mib_s);
    if (done < all) {
      text += fmt::format(", {:.0f} s left", static_cast<double>(all - done) / 0x1p20 / mib_s);
    }
    say(text);
  };
}

}  // namespace shoal::cli
