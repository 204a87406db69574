// SPDX-License-Identifier: Apache-2.0
// Decides whose rows the device computes next. A batch is either decode (steps of one row, all that
// are ready) or prefill (rows of longer steps, up to a budget of time), and the two take turns: a
// token waits for one prefill batch at most, and a prompt for one decode batch. Steps of one
// session are worked in order; peers take turns, and the sessions of a peer take turns. Bounded:
// what does not fit is refused at once. Pure: no clock, no thread; the caller guards it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "node/device/prefill_pace.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

using SessionKey = std::uint64_t;

// A prefill_pressure() beyond all others.
inline constexpr double kNobodyElseDecodes = 1e6;

struct SchedulerLimits {
  std::int64_t decode_rows = 256;   // one batch: more gain nothing, and bound its memory
  std::int64_t prefill_rows = 256;  // one batch: more gain nothing, and bound its memory
  double prefill_us = 1000.0 * proto::kPrefillMs;  // one batch, as far as it can be known before
  std::int64_t prefill_quantum = 64;               // rows of one turn; a multiple of a KV page
  std::int64_t queued_rows = 65'536;               // all peers
  std::int64_t queued_rows_per_peer = 32'768;
  std::int64_t steps_per_session = proto::kMaxStepsInFlight;
};

// Rows of the largest batch.
inline std::int64_t most_rows(const SchedulerLimits& limits) {
  return std::max(limits.decode_rows, limits.prefill_rows);
}

// The next `rows` rows of this session's oldest step; `last` when they end it.
struct BatchItem {
  SessionKey session = 0;
  std::int64_t rows = 0;
  bool last = false;
};

struct Batch {
  bool decode = false;
  double weight = 0;  // of a prefill batch, as the budget weighs
  std::vector<BatchItem> items;
};

enum class Admission { kAccepted, kSessionFull, kPeerFull, kQueueFull };

class Scheduler {
 public:
  explicit Scheduler(SchedulerLimits limits) : limits_(limits) {}

  // `share`: what part of the node's span the session uses.
  void add_session(SessionKey session, const proto::PeerId& peer, double share = 1);
  void remove_session(SessionKey session);  // with its steps
  Admission push(SessionKey session, std::int64_t rows, std::int64_t start_position = 0);

  bool idle() const { return queued_rows_ == 0; }
  // Whether next_batch() has something to give.
  bool ready() const;
  // No ready session's oldest step has more than one row: what next_batch() gives is a decode
  // batch.
  bool only_decodes() const;
  // Sessions that wait for a prompt, for each of those that decode: those of one peer count as one
  // in all, so that nobody's many prompts slow another's tokens. Whose own prompts wait would have
  // them before its tokens: of such a peer the sessions that decode do not count.
  double prefill_pressure() const;
  std::int64_t queued_rows() const { return queued_rows_; }
  std::int64_t queued_steps() const { return queued_steps_; }
  // Whether the session has steps waiting while more than `part` of a queue is full, the node's or
  // that of its peer.
  bool crowded(SessionKey session, double part) const;
  // Takes the rows out of the queue; at most one item per session, and until computed() none of it
  // again. Empty only when nothing is ready.
  Batch next_batch(const PrefillBudget& budget);
  // The session's item has been computed; it may have been removed meanwhile.
  void computed(SessionKey session);

 private:
  struct Step {
    std::int64_t rows_left = 0;
    std::int64_t position = 0;  // of the next row
    bool decode = false;        // a step of one row
  };
  struct Session {
    proto::PeerId peer;
    double share = 1;
    std::deque<Step> steps;
    std::uint64_t last_turn = 0;
    bool out = false;                // in a batch that is under way
    std::uint64_t decode_batch = 0;  // the last one that it was in; 0: none

    bool ready() const { return !steps.empty() && !out; }
  };
  struct Peer {
    std::int64_t sessions = 0;
    std::int64_t queued_rows = 0;
    std::uint64_t last_turn = 0;
  };
  struct Turns;

  Turns turns_of(bool decode);
  void take(SessionKey key, std::int64_t rows, Batch& batch);
  Batch decode_batch(Turns& turns);
  Batch prefill_batch(Turns& turns, const PrefillBudget& budget);

  SchedulerLimits limits_;
  std::map<SessionKey, Session> sessions_;
  std::map<proto::PeerId, Peer> peers_;
  std::int64_t queued_rows_ = 0;
  std::int64_t queued_steps_ = 0;
  std::uint64_t turn_ = 0;
  std::uint64_t decode_batches_ = 0;
  bool decode_had_turn_ = false;
};

}  // namespace shoal::node
