// SPDX-License-Identifier: Apache-2.0
// Lines that somebody types: edited and remembered by libedit on a terminal, read as they come
// elsewhere. One at a time; the thread that signals come to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace shoal::client {

class LineReader {
 public:
  // history_file: where lines are kept for the next time; empty: nowhere. `interrupted`: asked all
  // the time while it waits.
  LineReader(const std::string& history_file, std::function<bool()> interrupted);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  enum class Read : std::uint8_t {
    kLine,
    kInterrupted,
    kEnd,      // of the input
    kTooLong,  // more than any context holds
  };
  Read next(const char* prompt, std::string& line);
  void remember(const std::string& line);
  bool on_terminal() const { return editor_ != nullptr; }

 private:
  struct Editor;

  const std::function<bool()> interrupted_;
  std::unique_ptr<Editor> editor_;  // null: the input is no terminal
};

// ~/.local/state/shoal/chat_history, as XDG_STATE_HOME and HOME say; its folder is made. Empty
// where that cannot be.
std::string history_file();

}  // namespace shoal::client
