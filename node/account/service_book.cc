// SPDX-License-Identifier: Apache-2.0
#include "node/account/service_book.h"

#include <algorithm>

namespace shoal::node {

void ServiceBook::opened(const SessionStart& start, Time now) {
  std::optional<std::string> line;
  {
    const base::MutexLock lock(mutex_);
    ++sessions_.sessions_opened;
    // One may end before it is told that it has begun.
    if (sessions_.sessions_opened > sessions_.sessions_ended) {
      sessions_.peak_sessions =
          std::max(sessions_.peak_sessions, sessions_.sessions_opened - sessions_.sessions_ended);
    }
    line = log_.opened(start, now);
  }
  say(line);
}

void ServiceBook::ended(const SessionEnd& end, Time now) {
  std::optional<std::string> line;
  {
    const base::MutexLock lock(mutex_);
    ++sessions_.sessions_ended;
    if (!end.failure.empty()) ++sessions_.sessions_failed;
    sessions_.session_s += end.seconds;
    line = log_.ended(end, now);
  }
  say(line);
}

void ServiceBook::lost(const LostHop& hop, Time now) {
  std::optional<std::string> line;
  {
    const base::MutexLock lock(mutex_);
    ++sessions_.hops_lost;
    line = log_.lost(hop, now);
  }
  say(line);
}

void ServiceBook::tend(Time now) {
  std::optional<std::string> line;
  {
    const base::MutexLock lock(mutex_);
    line = log_.tend(now);
  }
  say(line);
}

void ServiceBook::close() {
  std::optional<std::string> line;
  {
    const base::MutexLock lock(mutex_);
    line = log_.close();
  }
  say(line);
}

Tally ServiceBook::tally() const {
  Tally tally;
  {
    const base::MutexLock lock(mutex_);
    tally = sessions_;
  }
  tally.bytes_in = bytes_in_;
  tally.bytes_out = bytes_out_;
  tally.prefill_tokens = prefill_tokens_;
  tally.decode_tokens = decode_tokens_;
  return tally;
}

}  // namespace shoal::node
