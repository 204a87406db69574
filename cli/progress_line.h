// SPDX-License-Identifier: Apache-2.0
// What people see on a terminal while they wait: one line at the bottom that is drawn again and
// again, and wiped when something else is printed. Drawing the text is pure; ProgressLine puts it
// on stderr, if that is a terminal, at most ten times a second. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace shoal::cli {

// "prefill [#####.....] 256/512 tokens  85/s  3 s left", at most `width` characters.
std::string progress_text(std::string_view what, std::size_t done, std::size_t all,
                          double elapsed_s, std::size_t width, std::string_view unit = "tokens");
// "waits [##........] 12 of 60 s"
std::string waiting_text(double waited_s, double limit_s, std::size_t width);

class ProgressLine {
 public:
  // Both as they are: whether stderr is a terminal, and whether the text goes to the same one.
  ProgressLine();
  ProgressLine(bool on_terminal, bool text_on_terminal);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;

  // Of one piece of work: a change of `what` or a step back begins another. Nothing is drawn in its
  // first moments, so that what is quick does not flicker.
  void show(std::string_view what, std::size_t done, std::size_t all,
            std::string_view unit = "tokens");
  void show_waiting(std::chrono::milliseconds waited, std::chrono::milliseconds limit);
  void clear();
  // A line that stays, on a terminal or not; dim on one where notes are not what people came for.
  void note(const std::string& text);
  void dim_notes() { dims_notes_ = true; }
  // Text goes to standard output: wipes the line, and remembers whether it ends in the middle of
  // one.
  void before_text(std::string_view text);
  bool on_terminal() const { return on_terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& text, Clock::time_point now);

  const bool on_terminal_, text_on_terminal_;
  bool drawn_ = false;
  bool dims_notes_ = false;
  bool in_text_ = false;  // the cursor is behind text
  std::string what_;
  std::size_t done_ = 0, first_ = 0;
  Clock::time_point begun_, last_;
};

}  // namespace shoal::cli
