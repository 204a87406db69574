// SPDX-License-Identifier: Apache-2.0
// The head's thread: rows of many sessions in one call, each with its own bits; bounds, order, and
// sessions that end meanwhile.
#include "node/device/head_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "node/device/row_scores.h"
#include "tests/node/demo_model.h"

namespace shoal::node {
namespace {

std::shared_ptr<const SpanEnds> demo_ends() {
  static const auto ends = [] {
    auto loaded = SpanEnds::load(demo().config, demo().checkpoint,
                                 {.parts = {.embedding = false, .head = true}, .threads = 1});
    CHECK(loaded.ok()) << loaded.status();
    return std::shared_ptr<const SpanEnds>(*std::move(loaded));
  }();
  return ends;
}

absl::Status fine() { return absl::OkStatus(); }

// Collects what is told.
class Told {
 public:
  StepDone done(int tag) {
    return [this, tag](StepOutput output) {
      const base::MutexLock lock(mutex_);
      order_.push_back(tag);
      outputs_.push_back(std::move(output));
      changed_.notify_all();
    };
  }
  void wait(std::size_t count) {
    const base::MutexLock lock(mutex_);
    while (order_.size() < count) changed_.wait(mutex_);
  }
  std::vector<int> order() const {
    const base::MutexLock lock(mutex_);
    return order_;
  }
  StepOutput output(int tag) const {
    const base::MutexLock lock(mutex_);
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (order_[i] == tag) return outputs_[i];
    }
    return {};
  }

 private:
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::vector<int> order_ ABSL_GUARDED_BY(mutex_);
  std::vector<StepOutput> outputs_ ABSL_GUARDED_BY(mutex_);
};

Completion completion(SessionKey session, std::uint32_t rows, StepDone done, std::uint32_t top) {
  Completion result{.done = std::move(done), .output = {}};
  result.output.x = random_rows(static_cast<std::uint32_t>(session), rows);
  result.session = session;
  result.peer.bytes[0] = static_cast<std::uint8_t>(session);
  result.rows = rows;
  result.scores = {{top, {}}, false};
  return result;
}

std::vector<Completion> batch_of(Completion one) {
  std::vector<Completion> batch;
  batch.push_back(std::move(one));
  return batch;
}

std::vector<proto::RowScores> alone(SessionKey session, std::uint32_t rows, std::uint32_t top) {
  const auto x = random_rows(static_cast<std::uint32_t>(session), rows);
  const auto vocabulary = static_cast<std::size_t>(demo_ends()->vocabulary());
  const auto hidden = static_cast<std::size_t>(demo_ends()->hidden());
  std::vector<float> logits(vocabulary);
  std::vector<proto::RowScores> result;
  for (std::size_t row = 0; row < rows; ++row) {
    demo_ends()->head()->logits(std::span(x).subspan(row * hidden, hidden), logits);
    result.push_back(row_scores(logits, top, {}));
  }
  return result;
}

TEST(HeadThreadTest, ManySessionsShareCallsAndEachGetsItsOwnBits) {
  Told told;
  // Before the head computes for the thread: they share its executor.
  std::vector<std::vector<proto::RowScores>> expected(41);
  for (SessionKey key = 1; key <= 40; ++key) expected[key] = alone(key, key == 7 ? 100 : 1, 5);
  HeadThread head(demo_ends(), fine);
  std::vector<Completion> batch;
  for (SessionKey key = 1; key <= 40; ++key) {
    batch.push_back(completion(key, key == 7 ? 100 : 1, told.done(static_cast<int>(key)), 5));
  }
  head.take(batch);
  EXPECT_TRUE(batch.empty());
  told.wait(40);
  for (SessionKey key = 1; key <= 40; ++key) {
    const StepOutput output = told.output(static_cast<int>(key));
    EXPECT_TRUE(output.status.ok()) << output.status;
    EXPECT_EQ(output.scores, expected[key]) << key;
    EXPECT_TRUE(output.x.empty());
  }
  EXPECT_EQ(told.order().back(), 7) << "a long text is scored beside tokens, not before them";
  EXPECT_EQ(head.stats().rows, 139u);
  EXPECT_LE(head.stats().calls, 8u);
}

TEST(HeadThreadTest, WhatIsNotScoredWaitsOnlyForItsOwnSession) {
  Told told;
  HeadThread head(demo_ends(), fine);
  std::vector<Completion> batch = batch_of(completion(1, 90, told.done(1), 1));
  Completion behind = completion(1, 1, told.done(2), 1);
  behind.scores = {};
  Completion other = completion(2, 1, told.done(3), 1);
  other.scores = {};
  batch.push_back(std::move(behind));
  batch.push_back(std::move(other));
  head.take(batch);
  ASSERT_EQ(batch.size(), 1u) << "another session's is told at once, by others";
  EXPECT_EQ(batch.front().session, 2u);
  told.wait(2);
  EXPECT_EQ(told.order(), (std::vector<int>{1, 2}));
  EXPECT_FALSE(told.output(2).x.empty());
}

TEST(HeadThreadTest, WhatIsTooMuchIsRefused) {
  Told told;
  std::atomic<bool> go = false;
  const std::size_t row = static_cast<std::size_t>(demo_ends()->hidden()) * sizeof(float);
  HeadThread head(
      demo_ends(),
      [&] {
        while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return absl::OkStatus();
      },
      20 * row);
  for (int i = 1; i <= 3; ++i) {  // of one peer: half
    std::vector<Completion> batch = batch_of(completion(1, 5, told.done(i), 1));
    head.take(batch);
    EXPECT_TRUE(batch.empty());
  }
  EXPECT_TRUE(head.crowded(1, 0.5));
  EXPECT_FALSE(head.crowded(2, 0.5));
  go = true;
  told.wait(3);
  EXPECT_TRUE(told.output(1).status.ok());
  EXPECT_TRUE(told.output(2).status.ok());
  EXPECT_EQ(told.output(3).status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(head.crowded(1, 0.5));
}

TEST(HeadThreadTest, ASessionThatHasEndedIsToldNothing) {
  Told told;
  std::atomic<bool> go = false, held = false;
  HeadThread head(demo_ends(), [&] {
    held = true;
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return absl::OkStatus();
  });
  for (int i = 1; i <= 2; ++i) {
    std::vector<Completion> batch = batch_of(completion(1, 1, told.done(i), 1));
    head.take(batch);
  }
  while (!held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  head.close(1);  // one is being computed, one waits
  std::vector<Completion> batch = batch_of(completion(2, 1, told.done(3), 1));
  head.take(batch);
  go = true;
  told.wait(1);
  EXPECT_EQ(told.order(), std::vector<int>{3});
  head.end();
  EXPECT_EQ(told.order(), std::vector<int>{3});
}

TEST(HeadThreadTest, NothingLeavesOnceTheFilesHaveChanged) {
  Told told;
  HeadThread head(demo_ends(), [] { return absl::UnavailableError("changed"); });
  std::vector<Completion> batch = batch_of(completion(1, 40, told.done(1), 1));
  head.take(batch);
  told.wait(1);
  EXPECT_EQ(told.output(1).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(told.output(1).scores.empty());
}

}  // namespace
}  // namespace shoal::node
