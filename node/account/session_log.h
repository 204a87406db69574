// SPDX-License-Identifier: Apache-2.0
// The log's lines of sessions: one for each as long as there are few, one a minute for all where
// there are many. A value class without a clock; not thread-safe. It is told no prompt, token or
// activation, so that none can come out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace shoal::node {

struct SessionStart {
  std::string session;  // the beginning of its id
  std::string client;   // of the client's
};

struct SessionEnd {
  std::string session;
  std::uint64_t prefill_tokens = 0, decode_tokens = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  double seconds = 0;
  std::string failure = {};  // empty: the client ended it

  std::uint64_t tokens() const { return prefill_tokens + decode_tokens; }
};

struct LostHop {
  std::string session;
  std::string hop;     // the beginning of its peer id
  std::string reason;  // printable
};

class SessionLog {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Lines of single events in a minute. A minute that had more is followed by one that begins with
  // none, until one has fewer again.
  static constexpr int kMostLines = 12;

  // A line to log now; or it counts for the next line of tend().
  std::optional<std::string> opened(const SessionStart& start, Time now);
  std::optional<std::string> ended(const SessionEnd& end, Time now);
  std::optional<std::string> lost(const LostHop& hop, Time now);

  // About once a second: the line of a minute that is over, if it has left lines out.
  std::optional<std::string> tend(Time now);
  // The same of a minute that is not over, at the end of the run.
  std::optional<std::string> close();

 private:
  struct Merged {
    std::uint64_t events = 0;
    std::uint64_t opened = 0, ended = 0, failed = 0, lost = 0;
    std::uint64_t tokens = 0, bytes_in = 0, bytes_out = 0;
  };

  bool may_tell(Time now);  // counts the event

  std::optional<Time> minute_;  // its begin, from its first event on
  int events_ = 0;              // of the minute
  bool busy_ = false;           // the minute before had more than its lines
  Merged merged_;
};

}  // namespace shoal::node
