// SPDX-License-Identifier: Apache-2.0
// A program with a terminal of its own, which a test reads from and types into. Killed and reaped
// when the object goes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace shoal::tests {

class Terminal {
 public:
  explicit Terminal(std::vector<std::string> command);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys);  // "\n" is Enter, "\x03" Ctrl-C, "\x04" Ctrl-D
  // Reads until `text` has been shown since the last clear(), or the program has ended, or the time
  // is over.
  bool shows(const std::string& text, int timeout_ms);
  // Exit status; -1 while it runs.
  int wait(int timeout_ms);
  // Closes the terminal, as when its window is; nothing is shown or typed any more. Exit status of
  // the program, 128 + signal when it was killed; -1 when it still runs after timeout_ms.
  int hang_up(int timeout_ms);
  const std::string& shown() const { return shown_; }
  void clear() { shown_.clear(); }

 private:
  bool read_some();

  pid_t pid_ = -1;
  int terminal_ = -1;
  int status_ = -1;
  std::string shown_;
};

}  // namespace shoal::tests
