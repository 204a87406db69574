// SPDX-License-Identifier: Apache-2.0
// How much of a prompt the device may compute in one go, by what it measured: rows cost time, those
// at later positions more, and a batch of few rows nearly as much as one of many. Keeps the time of
// a prefill batch near kPrefillMs, and shorter while others decode, whose tokens wait for it. Value
// class; times come in by argument.
#pragma once

#include <cstdint>
#include <span>

#include "proto/limits.h"

namespace shoal::node {

// What a prefill batch may cost, in the unit of weigh(): one row at position 0 through the whole
// span.
struct PrefillBudget {
  double weight = 256;         // at least one row is taken, whatever it weighs
  double row_weight = 1;       // of a row at position 0
  double position_weight = 0;  // more for each position before it
  double us = 0;               // what it should take

  double weigh(std::int64_t position) const {
    return row_weight + position_weight * static_cast<double>(position);
  }
};

class PrefillPace {
 public:
  // `row_us`: one row alone through the whole span. `attention_positions`: at which position
  // attention costs as much as all the rest of a row.
  PrefillPace(double limit_us, double row_us, double attention_positions);

  // `decode_us`: what a batch of decode rows takes now; `decoding`: somebody decodes, so that a
  // prefill batch is bounded by the patience of those who wait for a token; `pressure`: how many
  // wait for their prompts for each of these (Scheduler::prefill_pressure).
  PrefillBudget budget(double decode_us, bool decoding, double pressure = 1) const;
  // What a prefill batch of this weight took, under the budget that it was given.
  void measured(double weight, double us, const PrefillBudget& budget);

  double weight_us() const { return weight_us_; }

 private:
  double limit_us_;
  double row_us_;  // one row alone
  double position_weight_;
  double weight_us_;  // estimate of what a weight of 1 costs in a batch
};

}  // namespace shoal::node
