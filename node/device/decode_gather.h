// SPDX-License-Identifier: Apache-2.0
// Whom a batch of decode rows waits for. When a batch has been computed its sessions come back one
// by one; who starts with the first of them computes one row for the price of all, again and again.
// So the next batch waits a little for those that came back quickly before. Value class; times come
// in by argument.
#pragma once

#include <chrono>
#include <map>

#include "node/device/scheduler.h"

namespace shoal::node {

class DecodeGather {
 public:
  using Clock = std::chrono::steady_clock;

  // `row`: one row alone through the whole span.
  explicit DecodeGather(Clock::duration row);

  // A decode step of the session has been computed.
  void computed(SessionKey session, Clock::time_point now);
  // A step of the session has come.
  void arrived(SessionKey session, Clock::time_point now);
  void closed(SessionKey session);

  // Until when a decode batch that could begin now should wait; not after `now` if at once.
  Clock::time_point wait_until(Clock::time_point now) const;

 private:
  struct Session {
    Clock::time_point computed{};
    bool away = false;   // computed, and not come back
    bool quick = false;  // came back in time when it last did
  };

  Clock::duration patience_;
  std::map<SessionKey, Session> sessions_;
};

}  // namespace shoal::node
