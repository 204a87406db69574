// SPDX-License-Identifier: Apache-2.0
// A prompt beside somebody's tokens, on machines of every speed: the real scheduler and pace on a
// virtual device whose batches cost time. No clock.
#include "node/device/prefill_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "node/device/scheduler.h"

namespace shoal::node {
namespace {

struct Machine {
  const char* name;
  double weights_us;   // reading all weights once: every batch
  double row_us;       // computing a row, in a batch of any size
  double position_us;  // attention, for each position before the row

  double batch_us(std::int64_t rows, std::int64_t position) const {
    double us = weights_us;
    for (std::int64_t row = 0; row < rows; ++row) {
      us += row_us + position_us * static_cast<double>(position + row);
    }
    return us;
  }
  double attention_positions() const {
    return position_us > 0 ? 2 * (row_us + weights_us / 16) / position_us : 1e9;
  }
};

struct Outcome {
  double usual_us = 0;    // of a token when nobody else is there
  double worst_us = 0;    // of a token beside the prompt
  double longest_us = 0;  // prefill batch after the first ones
  double prompt_us = 0;
  double alone_us = 0;  // the same prompt in batches of 256 rows
  int batches = 0;
};

// `decoders` sessions decode meanwhile, each asking for the next token at once: the worst for them.
Outcome run(const Machine& machine, std::int64_t prompt, std::int64_t start, int decoders) {
  proto::PeerId reader;
  proto::PeerId writer;
  writer.bytes[0] = 1;
  const double one_us = machine.batch_us(1, 0);
  Outcome outcome;
  outcome.usual_us = machine.batch_us(std::max(decoders, 1), 0);
  PrefillPace pace(50'000, one_us, machine.attention_positions());
  Scheduler scheduler({});
  constexpr SessionKey kPrompt = 1000;
  scheduler.add_session(kPrompt, writer);
  scheduler.push(kPrompt, prompt, start);
  for (int i = 0; i < decoders; ++i) {
    scheduler.add_session(static_cast<SessionKey>(i), reader);
    scheduler.push(static_cast<SessionKey>(i), 1);
  }
  std::int64_t position = start;
  double now = 0;
  double asked = 0;  // when the readers' tokens became ready
  while (position < start + prompt) {
    const PrefillBudget budget = pace.budget(outcome.usual_us, decoders > 0);
    const Batch batch = scheduler.next_batch(budget);
    for (const BatchItem& item : batch.items) scheduler.computed(item.session);
    if (batch.decode) {
      EXPECT_EQ(batch.items.size(), static_cast<std::size_t>(decoders));
      now += outcome.usual_us;
      outcome.worst_us = std::max(outcome.worst_us, now - asked);
      asked = now;
      for (int i = 0; i < decoders; ++i) scheduler.push(static_cast<SessionKey>(i), 1);
      continue;
    }
    EXPECT_EQ(batch.items.size(), 1u);
    const std::int64_t rows = batch.items[0].rows;
    const double us = machine.batch_us(rows, position);
    pace.measured(batch.weight, us, budget);
    position += rows;
    now += us;
    outcome.prompt_us += us;
    if (++outcome.batches > 3) outcome.longest_us = std::max(outcome.longest_us, us);
  }
  for (std::int64_t at = 0; at < prompt; at += 256) {
    outcome.alone_us += machine.batch_us(std::min<std::int64_t>(256, prompt - at), start + at);
  }
  return outcome;
}

class PrefillPaceTest : public testing::TestWithParam<Machine> {};

// Far into a long text a row costs more than the readers' own: what is promised is about a prompt
// beside them, and one row is the least there is.
double least_us(const Machine& machine, std::int64_t position, const Outcome& outcome) {
  return machine.batch_us(1, position) + outcome.usual_us;
}

TEST_P(PrefillPaceTest, ATokenTakesAtMostFourTimesItsUsualTime) {
  for (const std::int64_t start : {0, 20'000}) {
    const Outcome outcome = run(GetParam(), 2'000, start, 1);
    EXPECT_LE(outcome.worst_us,
              std::max(4 * outcome.usual_us, least_us(GetParam(), start + 2'000, outcome)))
        << "from " << start;
  }
}

TEST_P(PrefillPaceTest, TokensOfManyTakeAtMostTwiceTheirUsualTime) {
  const Outcome outcome = run(GetParam(), 4'000, 0, 8);
  // Where eight rows cost hardly more than one, the prompt keeps its share.
  const double beside = 3.5 * GetParam().batch_us(1, 0) + outcome.usual_us;
  EXPECT_LE(outcome.worst_us,
            std::max({2 * outcome.usual_us, beside, least_us(GetParam(), 4'000, outcome)}));
}

TEST_P(PrefillPaceTest, ABatchKeepsItsTimeAndPromptsDoNotStarve) {
  const Machine& machine = GetParam();
  const Outcome outcome = run(machine, 4'000, 0, 0);
  const double one_us = machine.batch_us(1, 4'000);
  EXPECT_LE(outcome.longest_us, std::max(1.25 * 50'000, 3 * one_us));
  // What the weights' reading costs beyond what it would in large batches stays below a factor.
  EXPECT_LE(outcome.prompt_us, 2.5 * outcome.alone_us);
}

INSTANTIATE_TEST_SUITE_P(Machines, PrefillPaceTest,
                         testing::Values(Machine{"tiny_model", 200, 60, 0.002},
                                         Machine{"gpu", 9'000, 90, 0.002},
                                         Machine{"laptop", 30'000, 8'000, 0.3},
                                         Machine{"slow_machine", 180'000, 20'000, 1},
                                         Machine{"compute_bound", 100, 50'000, 2},
                                         Machine{"attention_bound", 5'000, 500, 0.5}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PrefillPace, StartsConservativeAndGrowsByWhatItMeasures) {
  PrefillPace pace(50'000, 10'000, 1e9);
  EXPECT_DOUBLE_EQ(pace.budget(10'000, false).weight, 5);
  for (int batch = 0; batch < 40; ++batch) {
    const PrefillBudget budget = pace.budget(10'000, false);
    pace.measured(budget.weight, 9'000 + 1'000 * budget.weight, budget);
  }
  EXPECT_NEAR(pace.budget(10'000, false).weight, 41, 2);
}

TEST(PrefillPace, WithMoreWhoWaitThanDecodeItGivesThemMore) {
  const PrefillPace pace(50'000, 1'000, 1e9);
  EXPECT_DOUBLE_EQ(pace.budget(8'000, true).us, 6'000);
  EXPECT_DOUBLE_EQ(pace.budget(8'000, true, 0.1).us, 6'000);
  EXPECT_DOUBLE_EQ(pace.budget(8'000, true, 4).us, 24'000);
  EXPECT_DOUBLE_EQ(pace.budget(8'000, true, 100).us, 50'000);
}

TEST(PrefillPace, AShortRestOfAPromptSaysNothing) {
  PrefillPace pace(50'000, 1'000, 1e9);
  const PrefillBudget budget = pace.budget(1'000, false);
  pace.measured(1, 10'000, budget);
  EXPECT_DOUBLE_EQ(pace.weight_us(), 1'000);
}

TEST(PrefillPace, OneHiccupDoesNotStopAPrompt) {
  PrefillPace pace(50'000, 1'000, 1e9);
  pace.measured(50, 60e6, pace.budget(1'000, false));  // the machine slept for a minute
  EXPECT_GE(pace.budget(1'000, false).weight, 10);
}

}  // namespace
}  // namespace shoal::node
