// SPDX-License-Identifier: Apache-2.0
// The scheduler: decode rows of everybody first, prompts in portions, turns between peers, bounded
// queues.
#include "node/device/scheduler.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace shoal::node {
namespace {

proto::PeerId peer(std::uint8_t id) {
  proto::PeerId result;
  result.bytes[0] = id;
  return result;
}

std::map<SessionKey, std::int64_t> rows_of(const std::vector<BatchItem>& batch) {
  std::map<SessionKey, std::int64_t> rows;
  for (const BatchItem& item : batch) {
    EXPECT_EQ(rows.count(item.session), 0u) << "two items of session " << item.session;
    rows[item.session] = item.rows;
  }
  return rows;
}

// A batch that has been computed before the next one is chosen.
Batch run(Scheduler& scheduler, const PrefillBudget& budget) {
  Batch batch = scheduler.next_batch(budget);
  for (const BatchItem& item : batch.items) scheduler.computed(item.session);
  return batch;
}

TEST(Scheduler, AllReadyDecodeRowsGoInOneBatch) {
  Scheduler scheduler({});
  for (SessionKey key = 1; key <= 32; ++key) {
    scheduler.add_session(key, peer(key % 5));
    ASSERT_EQ(scheduler.push(key, 1), Admission::kAccepted);
  }
  EXPECT_EQ(rows_of(run(scheduler, {}).items).size(), 32u);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_TRUE(run(scheduler, {}).items.empty());
}

TEST(Scheduler, DecodeAndPrefillTakeTurnsAndNeverShareABatch) {
  Scheduler scheduler({.prefill_rows = 256, .prefill_quantum = 64});
  scheduler.add_session(1, peer(1));
  scheduler.add_session(2, peer(2));
  scheduler.push(1, 1000);
  std::int64_t prompt = 0;
  for (int turn = 0; turn < 4; ++turn) {
    scheduler.push(2, 1);
    const Batch decode = run(scheduler, {});
    EXPECT_TRUE(decode.decode);
    ASSERT_EQ(decode.items.size(), 1u) << "a decode row rides alone";
    EXPECT_EQ(decode.items[0].session, 2u);
    scheduler.push(2, 1);  // the next token is ready at once, and still waits for one batch only
    const Batch prefill = run(scheduler, {});
    EXPECT_FALSE(prefill.decode);
    ASSERT_EQ(prefill.items.size(), 1u);
    EXPECT_EQ(prefill.items[0].session, 1u);
    EXPECT_LE(prefill.items[0].rows, 256);
    prompt += prefill.items[0].rows;
    EXPECT_EQ(prefill.items[0].last, prompt == 1000);
    EXPECT_TRUE(run(scheduler, {}).decode);
    if (turn < 3) {
      const Batch more = run(scheduler, {.weight = 1});
      ASSERT_EQ(more.items.size(), 1u);
      EXPECT_EQ(more.items[0].rows, 1) << "the smallest batch there is";
      prompt += 1;
    }
  }
}

TEST(Scheduler, TheLastRowOfAPromptIsNoToken) {
  Scheduler scheduler({.prefill_rows = 64, .prefill_quantum = 64});
  scheduler.add_session(1, peer(1));
  scheduler.add_session(2, peer(2));
  scheduler.push(1, 65);
  run(scheduler, {});
  scheduler.push(2, 1);
  const Batch first = run(scheduler, {});
  ASSERT_EQ(first.items.size(), 1u);
  EXPECT_TRUE(first.decode);
  EXPECT_EQ(first.items[0].session, 2u);
}

TEST(Scheduler, ABudgetOfTimeBoundsABatchWhateverThePositionAndTheSpan) {
  const PrefillBudget budget{.weight = 40, .row_weight = 1, .position_weight = 0.01};
  const auto rows_at = [&](std::int64_t position, double share) {
    Scheduler scheduler({});
    scheduler.add_session(1, peer(1), share);
    scheduler.push(1, 1000, position);
    const Batch batch = run(scheduler, budget);
    EXPECT_LE(batch.weight, budget.weight);
    return batch.items.at(0).rows;
  };
  EXPECT_NEAR(rows_at(0, 1), 34, 1);       // 40 / (1 + 0.005 * 34)
  EXPECT_NEAR(rows_at(900, 1), 3, 1);      // ten times the work
  EXPECT_NEAR(rows_at(900, 0.25), 15, 1);  // of a quarter of the blocks
  Scheduler slow({});
  slow.add_session(1, peer(1));
  slow.push(1, 10, 100'000);
  EXPECT_EQ(run(slow, budget).items.at(0).rows, 1) << "something always moves";
}

TEST(Scheduler, SmallBudgetsGoRoundThePeers) {
  Scheduler scheduler({});
  for (SessionKey key = 1; key <= 3; ++key) {
    scheduler.add_session(key, peer(key));
    scheduler.push(key, 1000);
  }
  std::map<SessionKey, std::int64_t> rows;
  for (int batch = 0; batch < 30; ++batch) {
    for (const BatchItem& item : run(scheduler, {.weight = 5}).items) {
      rows[item.session] += item.rows;
    }
  }
  EXPECT_EQ(rows[1], rows[2]);
  EXPECT_EQ(rows[2], rows[3]);
}

TEST(Scheduler, ACrowdedQueueIsToldToThoseWhoHaveStepsInIt) {
  Scheduler scheduler({.queued_rows = 100, .queued_rows_per_peer = 60});
  scheduler.add_session(1, peer(1));
  scheduler.add_session(2, peer(2));
  scheduler.push(1, 20);
  scheduler.push(1, 20);
  scheduler.push(2, 10);
  EXPECT_TRUE(scheduler.crowded(1, 0.5));
  EXPECT_FALSE(scheduler.crowded(2, 0.4)) << "one step may always wait";
  EXPECT_FALSE(scheduler.crowded(1, 0.9));
  EXPECT_FALSE(scheduler.crowded(9, 0.1));
}

TEST(Scheduler, StepsOfASessionStayInOrder) {
  Scheduler scheduler({.prefill_rows = 64, .prefill_quantum = 64});
  scheduler.add_session(1, peer(1));
  for (const std::int64_t rows : {100, 1, 1, 30}) scheduler.push(1, rows);
  std::vector<std::pair<std::int64_t, bool>> seen;
  while (!scheduler.idle()) {
    const auto batch = run(scheduler, {}).items;
    ASSERT_EQ(batch.size(), 1u);
    seen.emplace_back(batch[0].rows, batch[0].last);
  }
  const std::vector<std::pair<std::int64_t, bool>> expected = {
      {64, false}, {36, true}, {1, true}, {1, true}, {30, true}};
  EXPECT_EQ(seen, expected);
}

TEST(Scheduler, PeersShareThePrefillBudgetHoweverManySessionsTheyHave) {
  Scheduler scheduler({.prefill_rows = 256, .prefill_quantum = 64});
  for (SessionKey key = 1; key <= 10; ++key) {
    scheduler.add_session(key, peer(1));
    scheduler.push(key, 1000);
  }
  scheduler.add_session(11, peer(2));
  scheduler.push(11, 1000);
  std::int64_t first = 0;
  std::int64_t second = 0;
  for (int batch = 0; batch < 5; ++batch) {
    for (const auto& [key, rows] : rows_of(run(scheduler, {}).items))
      (key == 11 ? second : first) += rows;
  }
  EXPECT_EQ(first, second);
}

TEST(Scheduler, MoreDecodeSessionsThanRowsTakeTurns) {
  Scheduler scheduler({.decode_rows = 4});
  for (SessionKey key = 1; key <= 9; ++key) scheduler.add_session(key, peer(key == 9 ? 2 : 1));
  std::map<SessionKey, int> served;
  for (int batch = 0; batch < 80; ++batch) {
    for (SessionKey key = 1; key <= 9; ++key) {
      if (scheduler.push(key, 1) != Admission::kAccepted) continue;
    }
    for (const auto& [key, rows] : rows_of(run(scheduler, {}).items)) served[key] += rows;
  }
  EXPECT_EQ(served[9], 80) << "the peer with one session is served each time";
  for (SessionKey key = 1; key <= 8; ++key) EXPECT_EQ(served[key], 30) << key;
}

TEST(Scheduler, FullQueuesAreRefusedAtOnce) {
  Scheduler scheduler({.queued_rows = 100, .queued_rows_per_peer = 60, .steps_per_session = 3});
  scheduler.add_session(1, peer(1));
  scheduler.add_session(2, peer(1));
  scheduler.add_session(3, peer(2));
  for (int step = 0; step < 3; ++step) EXPECT_EQ(scheduler.push(1, 10), Admission::kAccepted);
  EXPECT_EQ(scheduler.push(1, 10), Admission::kSessionFull);
  EXPECT_EQ(scheduler.push(2, 31), Admission::kPeerFull);
  EXPECT_EQ(scheduler.push(2, 30), Admission::kAccepted);
  EXPECT_EQ(scheduler.push(3, 41), Admission::kQueueFull);
  EXPECT_EQ(scheduler.push(3, 40), Admission::kAccepted);
  EXPECT_EQ(scheduler.queued_rows(), 100);
}

TEST(Scheduler, ARemovedSessionTakesItsStepsAlong) {
  Scheduler scheduler({});
  scheduler.add_session(1, peer(1));
  scheduler.add_session(2, peer(1));
  scheduler.push(1, 500);
  scheduler.push(1, 1);
  scheduler.push(2, 1);
  EXPECT_EQ(run(scheduler, {}).items.size(), 1u);
  scheduler.remove_session(1);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(scheduler.queued_steps(), 0);
  scheduler.add_session(1, peer(1));
  EXPECT_EQ(scheduler.push(1, 1), Admission::kAccepted);
}

// Whatever comes and goes: every accepted row of a living session is computed exactly once, in
// order, within the budgets, and the counters return to zero.
TEST(Scheduler, RandomTrafficKeepsTheLaws) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const SchedulerLimits limits{.decode_rows = 5,
                                 .prefill_rows = 40,
                                 .prefill_quantum = 8,
                                 .queued_rows = 400,
                                 .queued_rows_per_peer = 200,
                                 .steps_per_session = 4};
    Scheduler scheduler(limits);
    std::map<SessionKey, std::deque<std::int64_t>> model;
    SessionKey next = 1;
    for (int round = 0; round < 2000; ++round) {
      const auto dice = random() % 10;
      if (dice == 0 || model.empty()) {
        scheduler.add_session(next, peer(random() % 3));
        model[next++] = {};
      } else if (dice == 1) {
        const auto victim = std::next(model.begin(), random() % model.size());
        scheduler.remove_session(victim->first);
        model.erase(victim);
      } else if (dice < 7) {
        const auto it = std::next(model.begin(), random() % model.size());
        const std::int64_t rows = random() % 2 == 0 ? 1 : 1 + random() % 60;
        if (scheduler.push(it->first, rows) == Admission::kAccepted) it->second.push_back(rows);
      } else {
        std::int64_t decode = 0;
        std::int64_t total = 0;
        const bool idle = scheduler.idle();
        const auto [decode_now, weight, batch] =
            run(scheduler, {.weight = 1.0 + random() % 60, .position_weight = 0.001});
        ASSERT_EQ(batch.empty(), idle);
        std::set<SessionKey> seen;
        for (const BatchItem& item : batch) {
          ASSERT_TRUE(seen.insert(item.session).second);
          auto& steps = model.at(item.session);
          ASSERT_FALSE(steps.empty());
          (decode_now ? decode : total) += item.rows;
          if (decode_now) {
            ASSERT_EQ(item.rows, 1);
          }
          steps.front() -= item.rows;
          ASSERT_GE(steps.front(), 0);
          ASSERT_EQ(item.last, steps.front() == 0);
          if (item.last) steps.pop_front();
        }
        ASSERT_LE(decode, limits.decode_rows);
        ASSERT_LE(total, limits.prefill_rows);
      }
      std::int64_t rows = 0;
      std::int64_t steps = 0;
      for (const auto& [key, queue] : model) {
        steps += static_cast<std::int64_t>(queue.size());
        for (const std::int64_t left : queue) rows += left;
      }
      ASSERT_EQ(scheduler.queued_rows(), rows);
      ASSERT_EQ(scheduler.queued_steps(), steps);
    }
  }
}

TEST(Scheduler, SaysHowManyWaitForTheirPromptsForEachThatDecodes) {
  Scheduler scheduler({});
  EXPECT_EQ(scheduler.prefill_pressure(), 1);  // nobody decodes
  for (SessionKey key = 1; key <= 8; ++key) scheduler.add_session(key, peer(1));
  for (SessionKey key = 1; key <= 2; ++key) ASSERT_EQ(scheduler.push(key, 1), Admission::kAccepted);
  EXPECT_EQ(run(scheduler, {}).items.size(), 2u);
  EXPECT_EQ(scheduler.prefill_pressure(), 0);
  for (SessionKey key = 3; key <= 8; ++key) {
    ASSERT_EQ(scheduler.push(key, 20), Admission::kAccepted);
  }
  // The tokens that wait for these prompts are of whoever wants the prompts, too.
  EXPECT_DOUBLE_EQ(scheduler.prefill_pressure(), kNobodyElseDecodes);
  // Another peer with a prompt is one more who waits, and so it is with many.
  scheduler.add_session(100, peer(2));
  ASSERT_EQ(scheduler.push(100, 20), Admission::kAccepted);
  EXPECT_DOUBLE_EQ(scheduler.prefill_pressure(), kNobodyElseDecodes);
}

TEST(Scheduler, ManyPromptsOfOnePeerAreOneWhoWaits) {
  Scheduler scheduler({});
  scheduler.add_session(1, peer(1));
  ASSERT_EQ(scheduler.push(1, 1), Admission::kAccepted);
  EXPECT_EQ(run(scheduler, {}).items.size(), 1u);
  scheduler.add_session(100, peer(2));
  ASSERT_EQ(scheduler.push(100, 20), Admission::kAccepted);
  EXPECT_DOUBLE_EQ(scheduler.prefill_pressure(), 1);
  for (SessionKey key = 101; key <= 140; ++key) {
    scheduler.add_session(key, peer(2));
    ASSERT_EQ(scheduler.push(key, 20), Admission::kAccepted);
  }
  EXPECT_DOUBLE_EQ(scheduler.prefill_pressure(), 1);
}

TEST(Scheduler, WhatIsBeingComputedIsNotInTheNextBatch) {
  Scheduler scheduler({.prefill_rows = 64, .prefill_quantum = 64});
  for (SessionKey key = 1; key <= 3; ++key) scheduler.add_session(key, peer(1));
  scheduler.push(1, 100);
  scheduler.push(2, 1);
  scheduler.push(2, 1);
  EXPECT_TRUE(scheduler.ready());
  EXPECT_EQ(scheduler.next_batch({}).items.at(0).session, 2u);
  EXPECT_EQ(scheduler.next_batch({}).items.at(0).session, 1u);
  EXPECT_FALSE(scheduler.ready());
  EXPECT_FALSE(scheduler.idle()) << "more of both waits";
  EXPECT_TRUE(scheduler.only_decodes()) << "no prompt could begin";
  EXPECT_TRUE(scheduler.next_batch({}).items.empty());
  scheduler.push(3, 1);
  EXPECT_TRUE(scheduler.ready());
  EXPECT_EQ(scheduler.next_batch({}).items.at(0).session, 3u);
  scheduler.computed(1);
  EXPECT_FALSE(scheduler.only_decodes());
  const Batch rest = scheduler.next_batch({});
  ASSERT_EQ(rest.items.size(), 1u);
  EXPECT_EQ(rest.items[0].session, 1u);
  EXPECT_TRUE(rest.items[0].last);
  scheduler.remove_session(3);
  scheduler.computed(3);  // it has gone meanwhile
  scheduler.computed(2);
  EXPECT_EQ(scheduler.next_batch({}).items.at(0).session, 2u);
  EXPECT_TRUE(scheduler.idle());
}

}  // namespace
}  // namespace shoal::node
