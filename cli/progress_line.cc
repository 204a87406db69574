// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace shoal::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRedraw{100};
constexpr milliseconds kQuick{200};  // not worth a line
constexpr std::size_t kMostBar = 30, kLeastBar = 5;
constexpr std::size_t kUsualWidth = 80;

std::string bar(double share, std::size_t width) {
  const auto filled =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

std::string with_bar(std::string_view what, double share, const std::string& rest,
                     std::size_t width) {
  const std::size_t taken = what.size() + rest.size() + 4;
  std::string text;
  if (taken + kLeastBar <= width) {
    text = fmt::format("{} {} {}", what, bar(share, std::min(kMostBar, width - taken)), rest);
  } else {
    text = fmt::format("{} {}", what, rest);
  }
  return text.substr(0, width);
}

std::string duration(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return size.ws_col;
}

}  // namespace

std::string progress_text(std::string_view what, std::size_t done, std::size_t all,
                          double elapsed_s, std::size_t width, std::string_view unit) {
  std::string rest = fmt::format("{}/{} {}", done, all, unit);
  if (done > 0 && elapsed_s > 0) {
    const double rate = static_cast<double>(done) / elapsed_s;
    rest += fmt::format("  {:.{}f}/s", rate, rate < 10 ? 1 : 0);
    if (done < all) {
      rest += fmt::format("  {} left", duration(std::ceil(static_cast<double>(all - done) / rate)));
    }
  }
  const double share = all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
  return with_bar(what, share, rest, width);
}

std::string waiting_text(double waited_s, double limit_s, std::size_t width) {
  return with_bar("waits", limit_s > 0 ? waited_s / limit_s : 1,
                  fmt::format("{:.0f} of {:.0f} s", std::floor(waited_s), limit_s), width);
}

ProgressLine::ProgressLine()
    : ProgressLine(isatty(STDERR_FILENO) == 1,
                   isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {}

ProgressLine::ProgressLine(bool on_terminal, bool text_on_terminal)
    : on_terminal_(on_terminal), text_on_terminal_(text_on_terminal) {}

void ProgressLine::show(std::string_view what, std::size_t done, std::size_t all,
                        std::string_view unit) {
  if (!on_terminal_) return;
  const auto now = Clock::now();
  if (what != what_ || done < done_) {
    what_ = what;
    begun_ = now;
    first_ = done;
  }
  done_ = done;
  if (now - begun_ < kQuick) return;
  // A step that was done before we looked says nothing about the rate.
  const std::chrono::duration<double> elapsed = now - begun_;
  const double share =
      done > first_ ? static_cast<double>(done) / static_cast<double>(done - first_) : 0;
  draw(progress_text(what, done, all, elapsed.count() * share, terminal_width() - 1, unit), now);
}

void ProgressLine::show_waiting(milliseconds waited, milliseconds limit) {
  if (!on_terminal_) return;
  draw(waiting_text(static_cast<double>(waited.count()) / 1e3,
                    static_cast<double>(limit.count()) / 1e3, terminal_width() - 1),
       Clock::now());
}

void ProgressLine::draw(const std::string& text, Clock::time_point now) {
  if (drawn_ && now - last_ < kRedraw) return;
  last_ = now;
  if (!drawn_ && in_text_) {
    std::fputc('\n', stderr);
    in_text_ = false;
  }
  drawn_ = true;
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (drawn_) {
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
  }
  drawn_ = false;
  what_.clear();
  done_ = 0;
}

void ProgressLine::note(const std::string& text) {
  clear();
  if (in_text_) std::fputc('\n', stderr);
  in_text_ = false;
  std::fprintf(stderr, dims_notes_ && on_terminal_ ? "\x1b[2m%s\x1b[0m\n" : "%s\n", text.c_str());
  std::fflush(stderr);
}

void ProgressLine::before_text(std::string_view text) {
  clear();
  if (text_on_terminal_ && !text.empty()) in_text_ = text.back() != '\n';
}

}  // namespace shoal::cli
