// SPDX-License-Identifier: Apache-2.0
// Whether a session goes as fast as its route promised. Told of every step and acknowledgement, it
// says when a hop is silent, when the oldest step under way sticks, and when more than a second has
// been lost against three times the promise. Progress is what brings the oldest step one hop
// further: repeated, old and meaningless messages are none. Pure: time comes in by argument. One
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace shoal::client {

struct PaceTrouble {
  enum class Kind {
    kSilent,   // the hop answers no heartbeat: it is lost
    kStalled,  // the hop lives, but holds the oldest step for so long that it is lost
    kStuck,    // the oldest step does not come out of the hop
    kCut,      // nor get from hop - 1 to the hop, it seems: both answer
    kSlow,     // steps come out, but far later than promised
  };
  Kind kind = Kind::kSlow;
  std::size_t hop = 0;
  double waited_us = 0;    // how long the oldest step has been there; 0 for kSlow
  double step_us = 0;      // kSlow: of one row through the route, as measured lately
  double promised_us = 0;  // what it should have been
  // Whether the session is over. Else it is moved if another route would do better.
  bool certain() const { return kind == Kind::kSilent || kind == Kind::kStalled; }
};

class SessionPace {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  // [hops]: microseconds that one row should take from the hop before (or from us) through this one
  // until we hear of it.
  explicit SessionPace(std::vector<double> promised_us);

  // `returns`: the step is over with its result, else with the last hop's acknowledgement.
  void sent(std::uint64_t step, std::size_t rows, bool returns, Time now);
  // True when this was news about a step under way.
  bool acked(std::size_t hop, std::uint64_t step, Time at);
  bool returned(std::uint64_t step, Time at);
  void finished(std::uint64_t step);  // of no more interest

  void heard(std::size_t hop, Time at, bool heartbeat);
  bool wants_probe(Time now) const;
  void probed(Time now);

  // To be called at least every kCheckInterval while a step is under way: a longer gap means that
  // this program did not run, and is not held against anybody.
  std::optional<PaceTrouble> check(Time now);

  // Of the hop, one row, as measured in this session; nullopt until there are enough.
  std::optional<double> measured_us(std::size_t hop) const;
  double promised_us(std::size_t hop) const { return promised_us_[hop]; }
  double step_us() const;  // measured where it can be, else promised; all hops

 private:
  struct Step {
    std::uint64_t id = 0;
    std::size_t rows = 0;
    bool returns = false;
    std::size_t reached = 0;  // hops that are done with it, the return of its result included
    Time reached_at;
    std::vector<bool> acked;
  };
  struct HopPace {
    Time free_at;  // when it was done with its last step
    bool used = false;
    double debt_us = 0;                 // time lost against the promise
    double one_row_us = 0, row_us = 0;  // slowest lately: steps of one row; each row of longer ones
    double mean_us = 0;                 // of steps of one row
    int samples = 0;
    bool answers_heartbeats = false;
    std::optional<Time> unanswered_since;
  };

  Step* find(std::uint64_t step);
  void advance(Step& step, std::size_t reached, Time at);
  void account(std::size_t hop, std::size_t rows, double took_us);
  double expected_us(std::size_t hop, std::size_t rows) const;
  double allowed_us(std::size_t hop, std::size_t rows) const;
  void forgive(Clock::duration gap);

  const std::vector<double> promised_us_;
  std::vector<HopPace> hops_;
  std::deque<Step> steps_;  // under way, the oldest first
  Time last_progress_, last_probe_, last_check_;
};

// Whether to leave a route that lives for another one. All in microseconds.
struct Move {
  double waited_us = 0;      // by the oldest step, where it is stuck; what may be to come
  double step_us = 0;        // of this route, as measured
  double other_step_us = 0;  // of the other, as far as is known
  double replay_us = 0;      // to rebuild the session there
  double steps_left = 0;     // that are likely to come
};
bool worth_moving(const Move& move);

}  // namespace shoal::client
