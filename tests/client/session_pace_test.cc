// SPDX-License-Identifier: Apache-2.0
#include "client/ring/session_pace.h"

#include <gtest/gtest.h>

#include <functional>

namespace shoal::client {
namespace {

using Kind = PaceTrouble::Kind;
using std::chrono::milliseconds;

constexpr double kMs = 1'000;

// Hops that promise 10 ms each, and a clock.
class SessionPaceTest : public ::testing::Test {
 protected:
  explicit SessionPaceTest(std::size_t hops = 2)
      : pace_(std::vector<double>(hops, 10 * kMs)), hops_(hops) {}

  void pass(int ms) { now_ += milliseconds(ms); }
  std::uint64_t send(std::size_t rows = 1) {
    pace_.sent(++step_, rows, true, now_);
    return step_;
  }
  // Lets time pass with the checks and probes of a session; every hop that `answers` does so.
  std::optional<PaceTrouble> wait(int ms, const std::function<bool(std::size_t)>& answers = {}) {
    for (int passed = 0; passed < ms; passed += 50) {
      pass(50);
      if (const auto trouble = pace_.check(now_)) return trouble;
      if (pace_.wants_probe(now_)) {
        pace_.probed(now_);
        for (std::size_t hop = 0; hop < hops_; ++hop) {
          if (!answers || answers(hop)) pace_.heard(hop, now_, true);
        }
      }
    }
    return std::nullopt;
  }
  // A step that takes `ms` at each hop; the first trouble that came of it.
  std::optional<PaceTrouble> step(std::vector<int> ms, std::size_t rows = 1) {
    std::optional<PaceTrouble> first;
    const auto look = [&] {
      const auto trouble = pace_.check(now_);
      if (!first) first = trouble;
    };
    const auto id = send(rows);
    for (std::size_t hop = 0; hop < hops_; ++hop) {
      for (int left = ms[hop]; left > 0; left -= 50) {
        pass(std::min(left, 50));
        look();
      }
      pace_.acked(hop, id, now_);
    }
    pace_.returned(id, now_);
    look();
    pace_.finished(id);
    return first;
  }

  SessionPace pace_;
  const std::size_t hops_;
  SessionPace::Time now_{std::chrono::hours(1)};
  std::uint64_t step_ = 0;
};

TEST_F(SessionPaceTest, WhatKeepsItsPromiseIsLeftAlone) {
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(step({10, 30})) << i;
  EXPECT_NEAR(*pace_.measured_us(1), 30 * kMs, 1);
  // Nor is a hop that is interrupted by others now and then.
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(step({10, i % 25 == 0 ? 700 : 20})) << i;
}

TEST_F(SessionPaceTest, AHopThatTakesASecondForEachStepIsNoticedInTwo) {
  for (int i = 0; i < 5; ++i) ASSERT_FALSE(step({10, 10}));
  std::optional<PaceTrouble> trouble;
  int steps = 0;
  for (; !trouble && steps < 5; ++steps) trouble = step({10, 1'000});
  ASSERT_TRUE(trouble);
  EXPECT_LE(steps, 2);
  EXPECT_EQ(trouble->hop, 1u);
  EXPECT_FALSE(trouble->certain());
}

TEST_F(SessionPaceTest, SoIsOneThatIsOnlyTenTimesTooSlow) {
  std::optional<PaceTrouble> trouble;
  int steps = 0;
  for (; !trouble && steps < 100; ++steps) trouble = step({100, 10});
  ASSERT_TRUE(trouble);
  EXPECT_LT(steps, 50);
  EXPECT_EQ(trouble->kind, Kind::kSlow);
  EXPECT_EQ(trouble->hop, 0u);
  EXPECT_GT(trouble->step_us, 3 * trouble->promised_us);
}

TEST_F(SessionPaceTest, RepetitionsAndOldNewsAreNoProgress) {
  const auto first = send();
  pace_.acked(0, first, now_);
  pace_.acked(1, first, now_);
  pace_.returned(first, now_);
  pace_.finished(first);
  const auto oldest = send(), later = send();
  std::optional<PaceTrouble> trouble;
  for (int i = 0; i < 400 && !trouble; ++i) {
    pass(10);
    EXPECT_FALSE(pace_.acked(1, first, now_));
    EXPECT_EQ(pace_.acked(0, oldest, now_), i == 0);
    EXPECT_EQ(pace_.acked(0, later, now_), i == 0);
    pace_.heard(0, now_, true);
    pace_.heard(1, now_, true);
    trouble = pace_.check(now_);
    if (pace_.wants_probe(now_)) pace_.probed(now_);
  }
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->hop, 1u);
  EXPECT_LT(trouble->waited_us, 2e6);
}

TEST_F(SessionPaceTest, AnAcknowledgementIsNoResult) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  const auto id = send();
  pace_.acked(0, id, now_);
  pace_.acked(1, id, now_);
  const auto trouble = wait(3'000);
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->hop, 1u);
}

TEST_F(SessionPaceTest, ACutBetweenTwoLivingHopsIsNoticedInASecondAndAHalf) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  const auto id = send();
  pass(10);
  pace_.acked(0, id, now_);
  const auto cut_at = now_;
  const auto trouble = wait(5'000);
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->kind, Kind::kCut);
  EXPECT_EQ(trouble->hop, 1u);
  EXPECT_LT(now_ - cut_at, milliseconds(1'500));
}

TEST_F(SessionPaceTest, AFirstPushHasTimeToConnect) {
  const auto id = send();
  pace_.acked(0, id, now_);
  EXPECT_FALSE(wait(2'900));
  EXPECT_TRUE(wait(1'000));
}

TEST_F(SessionPaceTest, AHopThatAnswersNothingIsLost) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  pace_.heard(0, now_, true);
  pace_.heard(1, now_, true);
  const auto id = send();
  pace_.acked(0, id, now_);
  const auto begun = now_;
  std::optional<PaceTrouble> last;
  while (now_ - begun < milliseconds(4'000) && !(last && last->certain())) {
    if (const auto trouble = wait(50, [](std::size_t hop) { return hop == 0; })) last = trouble;
    if (pace_.wants_probe(now_)) {
      pace_.probed(now_);
      pace_.heard(0, now_, true);
    }
  }
  ASSERT_TRUE(last);
  EXPECT_EQ(last->kind, Kind::kSilent);
  EXPECT_EQ(last->hop, 1u);
  EXPECT_LT(now_ - begun, milliseconds(3'000));
}

TEST_F(SessionPaceTest, WhoeverIsStuckAndSilentIsNamedBeforeThat) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  for (const std::size_t silent : {0, 1}) {
    const auto id = send();
    pace_.acked(0, id, now_);
    const auto trouble = wait(2'000, [&](std::size_t hop) { return hop != silent; });
    ASSERT_TRUE(trouble);
    EXPECT_EQ(trouble->kind, Kind::kStuck);
    EXPECT_EQ(trouble->hop, silent);
    pace_.returned(id, now_);
    pace_.finished(id);
    pace_.heard(silent, now_, true);
    for (int i = 0; i < 300; ++i) step({10, 10});  // forgiven
  }
}

TEST_F(SessionPaceTest, ALivingHopIsLostAtLast) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  send();
  const auto begun = now_;
  std::optional<PaceTrouble> trouble;
  while (now_ - begun < milliseconds(20'000) && !(trouble && trouble->certain())) {
    trouble = wait(50);
    if (pace_.wants_probe(now_)) {
      pace_.probed(now_);
      pace_.heard(0, now_, true);
      pace_.heard(1, now_, true);
    }
  }
  ASSERT_TRUE(trouble);
  EXPECT_EQ(trouble->kind, Kind::kStalled);
  EXPECT_NEAR(std::chrono::duration<double>(now_ - begun).count(), 10, 0.2);
}

TEST_F(SessionPaceTest, OurOwnPausesAreNobodysFault) {
  for (int i = 0; i < 3; ++i) step({10, 10});
  pace_.heard(0, now_, true);
  pace_.heard(1, now_, true);
  send();
  EXPECT_FALSE(wait(600, [](std::size_t) { return false; }));
  pass(3'600'000);  // a laptop that slept
  EXPECT_FALSE(pace_.check(now_));
  EXPECT_TRUE(wait(3'000, [](std::size_t) { return false; }));
}

TEST_F(SessionPaceTest, ManyRowsMayTakeLongerAndAreHeldAgainstWhatWasShown) {
  // 100 rows were promised in a second, three are allowed.
  EXPECT_FALSE(step({900, 900}, 100));
  EXPECT_FALSE(step({300, 300}, 100));
  const auto id = send(100);
  pace_.acked(0, id, now_);
  EXPECT_FALSE(wait(1'000));
  EXPECT_TRUE(wait(5'000));
}

TEST(WorthMoving, FasterRoutesMustPayForTheReplay) {
  Move move;
  move.step_us = 100 * kMs;
  move.other_step_us = 10 * kMs;
  move.steps_left = 100;
  move.replay_us = 1'000 * kMs;
  EXPECT_TRUE(worth_moving(move));
  move.replay_us = 20'000 * kMs;
  EXPECT_FALSE(worth_moving(move));
  move.replay_us = 1'000 * kMs;
  move.steps_left = 5;
  EXPECT_FALSE(worth_moving(move));
}

TEST(WorthMoving, EqualsAreNoReasonToMove) {
  Move move;
  move.step_us = 100 * kMs;
  move.other_step_us = 80 * kMs;
  move.steps_left = 1e6;
  EXPECT_FALSE(worth_moving(move));
}

TEST(WorthMoving, WhatIsStuckIsLeftWhenTheReplayIsNoDearerThanTheWaitHasBeen) {
  Move move;
  move.step_us = move.other_step_us = 10 * kMs;
  move.steps_left = 100;
  move.waited_us = 1'100 * kMs;
  move.replay_us = 300 * kMs;
  EXPECT_TRUE(worth_moving(move));
  move.replay_us = 3'000 * kMs;
  EXPECT_FALSE(worth_moving(move));
  move.waited_us = 5'000 * kMs;
  EXPECT_TRUE(worth_moving(move));
  move.other_step_us = 100 * kMs;  // slower: better than nothing, but not at once
  EXPECT_TRUE(worth_moving(move));
  move.waited_us = 1'100 * kMs;
  move.replay_us = 0;
  EXPECT_FALSE(worth_moving(move));
}

}  // namespace
}  // namespace shoal::client
