// SPDX-License-Identifier: Apache-2.0
// Batches on devices that work behind our back: the next one begins while the one before it is
// computed, and neither notices.
#include "node/device/batch_runner.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "model/kv_pool.h"
#include "tests/node/demo_model.h"
#include "tests/node/devices.h"

namespace shoal::node {
namespace {

constexpr proto::Span kSpan{0, 4};

class BatchRunnerTest : public ::testing::Test {
 protected:
  BatchRunnerTest() {
    auto loaded = BatchRunner::load(demo().config, demo().checkpoint, kSpan,
                                    devices_for(kSpan.size()), {.rows = 64, .kv_positions = 1024});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    runner_ = *std::move(loaded);
    pages_.emplace(*runner_->make_pools(1024, kernels::KvDType::kF32));
  }

  std::shared_ptr<Lessee> session(const std::vector<float>& x, proto::Span span = kSpan) {
    auto session = std::make_shared<Lessee>();
    session->span = span;
    session->lease = *pages_->lease(64, {span.begin - kSpan.begin, span.size()}, {}, {});
    session->steps.emplace_back();
    StepInput& input = session->steps.front().input;
    input.x = x;
    input.rows = static_cast<std::uint32_t>(x.size() / demo().config.hidden);
    session->lease.prepare(0, input.rows);
    return session;
  }
  static RunningBatch batch(const std::vector<std::shared_ptr<Lessee>>& sessions,
                            double expected_us) {
    RunningBatch batch;
    batch.expected_us = expected_us;
    for (const auto& session : sessions) {
      PendingStep& step = session->steps.front();
      batch.work.push_back({.session = session, .step = &step, .rows = step.input.rows});
    }
    return batch;
  }
  RunningBatch wait() {
    for (;;) {
      if (auto done = runner_->next_done()) return *std::move(done);
    }
  }
  static void expect_computed(const Lessee& session, const std::vector<float>& x) {
    EXPECT_TRUE(bitwise_equal(session.steps.front().input.x, computed_alone(session.span, x)));
  }

  std::unique_ptr<BatchRunner> runner_;
  std::optional<SpanPages> pages_;  // of the runner's devices
};

TEST_F(BatchRunnerTest, TheNextBatchBeginsJustBeforeTheOneBeforeItShouldEnd) {
  const auto a = random_rows(1, 3), b = random_rows(2, 2), c = random_rows(3, 1);
  const auto first = session(a), second = session(b), third = session(c, {2, 4});
  const auto now = BatchRunner::Clock::now;
  EXPECT_TRUE(runner_->idle());
  EXPECT_TRUE(runner_->has_room(now()));
  runner_->begin(batch({first}, 1e9));
  EXPECT_FALSE(runner_->has_room(now())) << "an hour is left in which rows may come";
  EXPECT_TRUE(runner_->has_room(now() + std::chrono::hours(1)));
  EXPECT_FALSE(runner_->next_done().has_value()) << "nobody has waited for it";
  runner_->begin(batch({second}, 0));
  runner_->begin(batch({third}, 0));
  EXPECT_FALSE(runner_->has_room(now() + std::chrono::hours(9))) << "one more than devices";
  std::vector<Lessee*> order;
  for (int i = 0; i < 3; ++i) {
    const RunningBatch done = wait();
    order.push_back(done.work.front().session.get());
    EXPECT_TRUE(done.work.front().finite);
    EXPECT_GT(done.us, 0);
    EXPECT_GT(done.block_us, 0);
  }
  EXPECT_TRUE(runner_->idle());
  EXPECT_LT(std::find(order.begin(), order.end(), first.get()),
            std::find(order.begin(), order.end(), second.get()));
  expect_computed(*first, a);
  expect_computed(*second, b);
  expect_computed(*third, c);
}

TEST_F(BatchRunnerTest, GroupsOfABatchGoTheirOwnWays) {
  const std::vector<proto::Span> spans = {{0, 4}, {0, 4}, {0, 1}, {1, 3}, {1, 3}, {2, 4}, {3, 4}};
  std::vector<std::shared_ptr<Lessee>> sessions;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    sessions.push_back(session(random_rows(10 + static_cast<std::uint32_t>(i), 2), spans[i]));
  }
  runner_->begin(batch(sessions, 0));
  const RunningBatch done = wait();
  EXPECT_EQ(done.rows, 14);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    SCOPED_TRACE(i);
    expect_computed(*sessions[i], random_rows(10 + static_cast<std::uint32_t>(i), 2));
  }
  EXPECT_TRUE(runner_->idle());
}

}  // namespace
}  // namespace shoal::node
