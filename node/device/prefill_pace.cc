// SPDX-License-Identifier: Apache-2.0
#include "node/device/prefill_pace.h"

#include <algorithm>

namespace shoal::node {
namespace {

// A token waits for one prefill batch, then for the batch that it is in: with less than the time of
// that one for the prompt, and the rest for an estimate that is off, tokens of many sessions take
// twice as long as usual.
constexpr double kDecodeTimes = 0.75;
// A batch of one row reads all weights; one that takes twice as long does many rows for them. Less
// would starve prompts. A token of somebody who decodes alone takes three times as long as usual,
// four with the estimate off.
constexpr double kRowTimes = 2;
// Slower than thought: believed at once. Quicker: with time, it may have been a short batch.
constexpr double kSlowerShare = 0.7;
constexpr double kQuickerShare = 0.5;
// One measurement moves the estimate by no more: a machine that slept is no slow machine.
constexpr double kMostChange = 4;
// Below this share of its budget a batch says little: what it costs is mostly the weights' reading.
constexpr double kFullShare = 0.6;
// Attention reads the cache and does little with each byte, so it costs more time than work.
constexpr double kAttentionTimes = 2;

}  // namespace

PrefillPace::PrefillPace(double limit_us, double row_us, double attention_positions)
    : limit_us_(limit_us),
      row_us_(std::max(row_us, 1.0)),
      position_weight_(kAttentionTimes / std::max(attention_positions, 1.0)),
      weight_us_(row_us_) {}

PrefillBudget PrefillPace::budget(double decode_us, bool decoding, double pressure) const {
  double us = limit_us_;
  // Whoever waits for a first token waits too: where they are more than those who decode, the time
  // goes to both by their number. Else nearly all would wait, and few decode in small batches.
  if (decoding) us = std::min(us, kDecodeTimes * decode_us * std::max(pressure, 1.0));
  us = std::max(us, kRowTimes * row_us_);
  return {
      .weight = us / weight_us_, .row_weight = 1, .position_weight = position_weight_, .us = us};
}

// Compares the time that a whole budget took with what it should have: an estimate of time by
// weight would stay at one row for ever where a second one costs little more.
void PrefillPace::measured(double weight, double us, const PrefillBudget& budget) {
  if (weight <= 0 || us <= 0 || budget.us <= 0) return;
  if (us <= budget.us && weight < kFullShare * budget.weight && weight + 1.5 < budget.weight)
    return;
  const double change = std::clamp(us / budget.us, 1 / kMostChange, kMostChange);
  weight_us_ *= 1 + (change > 1 ? kSlowerShare : kQuickerShare) * (change - 1);
}

}  // namespace shoal::node
