// SPDX-License-Identifier: Apache-2.0
// Decides whose rows the device computes next. Each batch: ready decode rows (steps of one row) of
// all sessions, then rows of prefill steps up to a budget, in portions, so that a long prompt never
// holds up another session's next token. Steps of one session are worked in order; peers take
// turns, and the sessions of a peer take turns. Bounded: what does not fit is refused at once.
// Pure: no clock, no thread; the caller guards it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

using SessionKey = std::uint64_t;

struct SchedulerLimits {
  std::int64_t decode_rows = 256;  // one batch: more gain nothing, and bound its memory
  std::int64_t prefill_rows =
      256;  // one batch: bounds how long a decode row waits for others' prompts
  std::int64_t prefill_quantum = 64;  // rows of one turn; a multiple of a KV page
  std::int64_t queued_rows = 65'536;  // all peers
  std::int64_t queued_rows_per_peer = 32'768;
  std::int64_t steps_per_session = proto::kMaxStepsInFlight;
};

// The next `rows` rows of this session's oldest step; `last` when they end it.
struct BatchItem {
  SessionKey session = 0;
  std::int64_t rows = 0;
  bool last = false;
};

enum class Admission { kAccepted, kSessionFull, kPeerFull, kQueueFull };

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits) : limits_(limits) {}

  void add_session(SessionKey session, const proto::PeerId& peer);
  void remove_session(SessionKey session);  // with its steps
  Admission push(SessionKey session, std::int64_t rows);

  bool idle() const { return queued_rows_ == 0; }
  std::int64_t queued_rows() const { return queued_rows_; }
  std::int64_t queued_steps() const { return queued_steps_; }
  // Takes the rows out of the queue; at most one item per session. Empty only when idle.
  std::vector<BatchItem> next_batch();

 private:
  struct Session {
    proto::PeerId peer;
    std::deque<std::int64_t> steps;  // rows left of each
    std::uint64_t last_turn = 0;
  };
  struct Peer {
    std::int64_t sessions = 0;
    std::int64_t queued_rows = 0;
    std::uint64_t last_turn = 0;
  };
  struct Turns;

  Turns turns_of(bool decode);
  void take(SessionKey key, std::int64_t rows, std::vector<BatchItem>& batch);

  SchedulerLimits limits_;
  std::map<SessionKey, Session> sessions_;
  std::map<proto::PeerId, Peer> peers_;
  std::int64_t queued_rows_ = 0;
  std::int64_t queued_steps_ = 0;
  std::uint64_t turn_ = 0;
};

}  // namespace shoal::node
