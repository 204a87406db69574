// SPDX-License-Identifier: Apache-2.0
// The device thread's laws: batching, splitting and truncating change no bit; pages come back at
// once; queues are bounded. On one device and on several (devices.h).
#include "node/device/device_thread.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "tests/node/demo_model.h"
#include "tests/node/devices.h"

namespace shoal::node {
namespace {

std::unique_ptr<DeviceThread> device(DeviceOptions options = {}) {
  if (options.span.empty()) options.span = {0, 4};
  if (options.kv_positions == 0) options.kv_positions = 8192;
  options.threads = 1;
  options.devices = devices_for(options.span.size());
  auto started = DeviceThread::start(demo().config, demo().checkpoint, std::move(options));
  EXPECT_TRUE(started.ok()) << started.status();
  return std::move(*started);
}

std::vector<float> rows(std::uint32_t seed, std::uint32_t count) {
  return random_rows(seed, count);
}
std::vector<float> alone(proto::Span span, const std::vector<float>& x) {
  return computed_alone(span, x);
}
bool bitwise(const std::vector<float>& a, const std::vector<float>& b) {
  return bitwise_equal(a, b);
}

// Collects outputs in the order in which they come.
class Inbox {
 public:
  StepDone slot() {
    return [this](StepOutput output) {
      const std::lock_guard lock(mutex_);
      outputs_.push_back(std::move(output));
      changed_.notify_all();
    };
  }
  std::vector<StepOutput> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60),
                                  [&] { return outputs_.size() >= count; }));
    return outputs_;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return outputs_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<StepOutput> outputs_;
};

void open(DeviceThread& device, SessionKey key, std::uint32_t positions = 512,
          proto::Span span = {0, 4}) {
  proto::PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(key % 3);
  const auto refusal = device.open(key, peer, span, positions);
  ASSERT_FALSE(refusal.has_value()) << refusal->reason;
}

void submit(DeviceThread& device, SessionKey key, std::uint32_t start, std::vector<float> x,
            StepDone done) {
  const auto count = static_cast<std::uint32_t>(x.size() / demo().config.hidden);
  const auto refusal = device.submit(key, {start, count, std::move(x)}, std::move(done));
  ASSERT_FALSE(refusal.has_value()) << refusal->reason;
}

TEST(DeviceThread, ManySessionsInOneBatchComputeWhatEachComputesAlone) {
  const auto shared = device();
  constexpr SessionKey kSessions = 12;
  std::vector<Inbox> prompts(kSessions);
  std::vector<Inbox> tokens(kSessions);
  for (SessionKey key = 0; key < kSessions; ++key) {
    open(*shared, key);
    submit(*shared, key, 0, rows(key, 5 + 9 * key), prompts[key].slot());
    for (std::uint32_t step = 0; step < 4; ++step) {
      submit(*shared, key, 5 + 9 * key + step, rows(100 + key * 10 + step, 1), tokens[key].slot());
    }
  }
  for (SessionKey key = 0; key < kSessions; ++key) {
    std::vector<float> all = rows(key, 5 + 9 * key);
    for (std::uint32_t step = 0; step < 4; ++step) {
      const auto row = rows(100 + key * 10 + step, 1);
      all.insert(all.end(), row.begin(), row.end());
    }
    std::vector<float> got = prompts[key].wait(1)[0].x;
    std::uint32_t position = 5 + 9 * key;
    for (const StepOutput& output : tokens[key].wait(4)) {
      got.insert(got.end(), output.x.begin(), output.x.end());
      EXPECT_EQ(output.position, ++position);
    }
    EXPECT_TRUE(bitwise(got, alone({0, 4}, all))) << "session " << key;
  }
  const DeviceStats stats = shared->stats();
  EXPECT_LT(stats.batches, stats.batched_rows) << "nothing was batched";
}

TEST(DeviceThread, SessionsMayUsePartsOfTheSpan) {
  const auto shared = device();
  const proto::Span spans[] = {{0, 4}, {0, 2}, {2, 4}, {1, 2}};
  Inbox inboxes[4];
  for (SessionKey key = 0; key < 4; ++key) {
    open(*shared, key, 64, spans[key]);
    submit(*shared, key, 0, rows(7, 20), inboxes[key].slot());
  }
  for (SessionKey key = 0; key < 4; ++key) {
    EXPECT_TRUE(bitwise(inboxes[key].wait(1)[0].x, alone(spans[key], rows(7, 20)))) << key;
  }
  // And a span in two parts is the span.
  EXPECT_TRUE(bitwise(alone({2, 4}, alone({0, 2}, rows(7, 20))), alone({0, 4}, rows(7, 20))));
}

TEST(DeviceThread, APromptInPortionsIsThePromptWhole) {
  const auto portions =
      device({.span = {0, 4},
              .kv_positions = 1024,
              .threads = 1,
              .limits = {.prefill_rows = 48, .prefill_us = 1e9, .prefill_quantum = 16}});
  Inbox inbox;
  open(*portions, 1, 512);
  submit(*portions, 1, 0, rows(3, 200), inbox.slot());
  EXPECT_TRUE(bitwise(inbox.wait(1)[0].x, alone({0, 4}, rows(3, 200))));
  EXPECT_EQ(portions->stats().batches, 5u);
}

// A budget that no machine can meet: as few rows as there may be, and tokens in batches between
// them.
TEST(DeviceThread, APromptIsComputedInBatchesOfMeasuredTime) {
  const auto own =
      device({.span = {0, 4}, .kv_positions = 1024, .threads = 1, .limits = {.prefill_us = 1}});
  Inbox prompt;
  Inbox token;
  open(*own, 1, 512);
  open(*own, 2, 512);
  submit(*own, 1, 0, rows(3, 250), prompt.slot());
  submit(*own, 2, 0, rows(4, 1), token.slot());
  token.wait(1);
  EXPECT_EQ(prompt.size(), 0u) << "a token does not wait for a whole prompt";
  EXPECT_TRUE(bitwise(prompt.wait(1)[0].x, alone({0, 4}, rows(3, 250))));
  const DeviceStats stats = own->stats();
  EXPECT_GE(stats.prefill_batches, 8u) << "by rows alone it would be one";
  EXPECT_EQ(stats.batches, stats.prefill_batches + 1) << "the token had a batch of its own";
}

TEST(DeviceThread, AStepBelowThePositionTruncates) {
  const auto own = device();
  Inbox inbox;
  open(*own, 1);
  submit(*own, 1, 0, rows(1, 40), inbox.slot());
  submit(*own, 1, 10, rows(2, 3), inbox.slot());
  const auto outputs = inbox.wait(2);
  EXPECT_EQ(outputs[1].position, 13u);
  std::vector<float> history = rows(1, 40);
  history.resize(10 * demo().config.hidden);
  const auto replacement = rows(2, 3);
  history.insert(history.end(), replacement.begin(), replacement.end());
  const auto expected = alone({0, 4}, history);
  EXPECT_TRUE(bitwise(outputs[1].x, {expected.end() - replacement.size(), expected.end()}));
  EXPECT_EQ(own->stats().pages_in_use, 1) << "the truncated positions' pages are free";
}

TEST(DeviceThread, ClosingFreesEveryPageWhileStepsAreQueuedAndComputed) {
  const auto own = device();
  for (int round = 0; round < 30; ++round) {
    Inbox inbox;
    for (SessionKey key = 0; key < 4; ++key) {
      open(*own, key);
      for (std::uint32_t step = 0; step < 3; ++step)
        submit(*own, key, step * 64, rows(step, 64), inbox.slot());
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300 * round));
    for (SessionKey key = 0; key < 4; ++key) own->close(key);
    // At most the batch that is being computed still holds pages; a step of a new session comes
    // after it.
    Inbox after;
    open(*own, 9);
    submit(*own, 9, 0, rows(1, 1), after.slot());
    after.wait(1);
    own->close(9);
    const DeviceStats stats = own->stats();
    EXPECT_EQ(stats.pages_in_use, 0);
    EXPECT_EQ(stats.free_positions, stats.total_positions);
    EXPECT_EQ(stats.queued_steps, 0);
    EXPECT_EQ(stats.sessions, 0);
    // The completions of closed sessions hold the inbox: none may come after the batch.
    const std::size_t seen = inbox.size();
    EXPECT_LE(seen, 12u);
  }
}

TEST(DeviceThread, ALeaseThatCannotBeKeptIsRefusedWithARetryTime) {
  const auto own = device({.span = {0, 4}, .kv_positions = 256, .threads = 1, .limits = {}});
  open(*own, 1, 200);
  const auto refusal = own->open(2, {}, {0, 4}, 64);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code, absl::StatusCode::kResourceExhausted);
  EXPECT_GT(refusal->retry_after_ms, 0u);
  own->close(1);
  EXPECT_FALSE(own->open(2, {}, {0, 4}, 64).has_value());
  own->close(2);
}

TEST(DeviceThread, SessionsOfAPartOfTheSpanLeaseThatPart) {
  const auto own = device({.span = {0, 4}, .kv_positions = 256, .threads = 1, .limits = {}});
  Inbox inbox;
  // Twice as many positions of two blocks as of four; each computes as if alone.
  for (SessionKey key = 1; key <= 2; ++key) {
    ASSERT_FALSE(own->open(key, {}, {1, 3}, 256).has_value()) << key;
  }
  EXPECT_TRUE(own->open(3, {}, {1, 3}, 32).has_value());
  EXPECT_EQ(own->stats().free_positions, 0);
  for (SessionKey key = 1; key <= 2; ++key) {
    const auto seed = static_cast<std::uint32_t>(key);
    ASSERT_FALSE(own->submit(key, {0, 40, rows(seed, 40)}, inbox.slot()).has_value());
    const auto outputs = inbox.wait(key);
    EXPECT_TRUE(bitwise(outputs.back().x, alone({1, 3}, rows(seed, 40))));
  }
  own->close(1);
  own->close(2);
  EXPECT_EQ(own->stats().free_positions, 256);
}

TEST(DeviceThread, NarrowPagesRoundAndHoldTheLaw) {
  for (const auto& [dtype, rounding] :
       {std::pair{kernels::KvDType::kF16, 0x1p-11f}, {kernels::KvDType::kI8, 0.5f / 127}}) {
    SCOPED_TRACE(kernels::kv_dtype_name(dtype));
    const auto own = device(
        {.span = {0, 4}, .kv_positions = 1024, .kv_dtype = dtype, .threads = 1, .limits = {}});
    Inbox inbox;
    open(*own, 1, 64);
    open(*own, 2, 64);
    const std::vector<float> x = rows(3, 20), wide = alone({0, 4}, x);
    ASSERT_FALSE(own->submit(1, {0, 20, x}, inbox.slot()).has_value());
    const std::vector<float> whole = inbox.wait(1)[0].x;
    std::vector<float> joined;
    for (std::uint32_t row = 0; row < 20; ++row) {
      const auto from = x.begin() + static_cast<std::ptrdiff_t>(row * demo().config.hidden);
      ASSERT_FALSE(
          own->submit(2, {row, 1, {from, from + demo().config.hidden}}, inbox.slot()).has_value());
      const std::vector<float> y = inbox.wait(row + 2).back().x;
      joined.insert(joined.end(), y.begin(), y.end());
    }
    EXPECT_TRUE(bitwise(joined, whole));
    EXPECT_FALSE(bitwise(wide, whole));
    float largest = 0;
    for (const float value : wide) largest = std::max(largest, std::abs(value));
    // One rounding of the keys and one of the values in each of four blocks.
    for (std::size_t i = 0; i < wide.size(); ++i) {
      ASSERT_NEAR(wide[i], whole[i], 8 * rounding * largest) << i << ", of " << largest;
    }
    own->close(1);
    own->close(2);
  }
}

// Hashes of a text of this number, for each of its pages.
std::vector<proto::PageHash> prefix(std::uint8_t text, std::size_t pages) {
  std::vector<proto::PageHash> hashes(pages);
  for (std::size_t i = 0; i < pages; ++i) {
    hashes[i].bytes = {text, static_cast<std::uint8_t>(i)};
  }
  return hashes;
}

struct ReuseCase {
  proto::Span part;
  kernels::KvDType kv;
  model::WeightChoice weights;
};

class Reuse : public testing::TestWithParam<ReuseCase> {};

// The same rows through a session of their own, and behind what another one left, in steps of any
// length and from any position: not a bit differs.
TEST_P(Reuse, WhatComesBehindKeptPagesIsWhatAWholeSessionComputes) {
  const ReuseCase& how = GetParam();
  const auto own = device({.span = {0, 4},
                           .kv_positions = 2048,
                           .kv_dtype = how.kv,
                           .weights = how.weights,
                           .threads = 1,
                           .limits = {.prefill_rows = 48, .prefill_quantum = 16}});
  const auto hidden = static_cast<std::ptrdiff_t>(demo().config.hidden);
  const std::vector<float> x = rows(3, 150);
  const auto part_of = [&](std::ptrdiff_t from, std::ptrdiff_t to) {
    return std::vector(x.begin() + from * hidden, x.begin() + to * hidden);
  };
  Inbox first;
  ASSERT_FALSE(own->open(1, {}, how.part, 160).has_value());
  submit(*own, 1, 0, x, first.slot());
  const std::vector<float> whole = first.wait(1)[0].x;
  own->keep(1, 0, prefix(1, 4));
  own->close(1);
  EXPECT_EQ(own->stats().kept_pages, 4);

  SessionKey key = 2;
  for (const std::uint32_t start : {128u, 96u, 64u, 77u, 1u}) {
    for (const std::uint32_t step : {150u, 31u, 7u}) {
      ASSERT_FALSE(own->open(++key, {}, how.part, 160, prefix(1, 4)).has_value());
      ASSERT_EQ(own->position(key), 128u);
      std::vector<float> got;
      Inbox inbox;
      std::size_t steps = 0;
      for (std::uint32_t from = start; from < 150; from += step, ++steps) {
        const std::uint32_t to = std::min(from + step, 150u);
        submit(*own, key, from, part_of(from, to), inbox.slot());
      }
      for (const StepOutput& output : inbox.wait(steps)) {
        got.insert(got.end(), output.x.begin(), output.x.end());
      }
      EXPECT_TRUE(bitwise(got, {whole.begin() + start * hidden, whole.end()}))
          << "from " << start << " in steps of " << step;
      own->close(key);
    }
  }
  EXPECT_EQ(own->stats().reused_positions, 3u * (128 + 96 + 64 + 77 + 1));
  EXPECT_EQ(own->stats().pages_in_use, 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, Reuse,
    testing::Values(ReuseCase{{0, 4}, kernels::KvDType::kF32, model::WeightChoice::kStored},
                    ReuseCase{{0, 4}, kernels::KvDType::kI8, model::WeightChoice::kQ4S},
                    ReuseCase{{1, 3}, kernels::KvDType::kF32, model::WeightChoice::kStored},
                    ReuseCase{{0, 4}, kernels::KvDType::kF16, model::WeightChoice::kStored},
                    ReuseCase{{0, 4}, kernels::KvDType::kBF16, model::WeightChoice::kQ8},
                    ReuseCase{{0, 4}, kernels::KvDType::kF32, model::WeightChoice::kQ4}));

TEST(DeviceThread, KeepsWhatIsFilledAndNotBehindAGap) {
  const auto own = device();
  Inbox inbox;
  open(*own, 1);
  submit(*own, 1, 0, rows(1, 70), inbox.slot());
  inbox.wait(1);
  const auto hashes = prefix(1, 8);
  own->keep(1, 1, std::span(hashes).subspan(1));
  EXPECT_EQ(own->stats().kept_pages, 0) << "nothing is known of its first page";
  own->keep(1, 0, hashes);
  EXPECT_EQ(own->stats().kept_pages, 2) << "the third is not full";
  own->keep(1, 0, prefix(2, 8));
  EXPECT_EQ(own->stats().kept_pages, 2) << "what was said first stands";
  // Another session kept the same: it is kept once.
  open(*own, 2);
  submit(*own, 2, 0, rows(1, 70), inbox.slot());
  inbox.wait(2);
  own->keep(2, 0, hashes);
  own->close(2);
  own->close(1);
  EXPECT_EQ(own->stats().kept_pages, 2);
  EXPECT_EQ(own->stats().free_positions, own->stats().total_positions);
  // Truncated, other rows: the pages behind that are no longer what they were said to be.
  ASSERT_FALSE(own->open(3, {}, {0, 4}, 512, hashes).has_value());
  EXPECT_EQ(own->position(3), 64u);
  submit(*own, 3, 40, rows(9, 30), inbox.slot());
  inbox.wait(3);
  const auto others = prefix(3, 2);
  own->keep(3, 1, std::span(others).subspan(1));
  own->close(3);
  EXPECT_EQ(own->stats().kept_pages, 3);
  ASSERT_FALSE(own->open(4, {}, {0, 4}, 512, hashes).has_value());
  EXPECT_EQ(own->position(4), 64u);
  submit(*own, 4, 64, rows(5, 1), inbox.slot());
  const auto outputs = inbox.wait(4);
  std::vector<float> all = rows(1, 70);
  all.resize(64 * demo().config.hidden);
  const auto row = rows(5, 1);
  all.insert(all.end(), row.begin(), row.end());
  const auto expected = alone({0, 4}, all);
  EXPECT_TRUE(bitwise(outputs[3].x, {expected.end() - std::ssize(row), expected.end()}));
  own->close(4);
}

TEST(DeviceThread, AFullQueueIsRefusedWithARetryTime) {
  const auto own = device(
      {.span = {0, 4}, .kv_positions = 1024, .threads = 1, .limits = {.steps_per_session = 2}});
  Inbox inbox;
  open(*own, 1, 1024);
  std::optional<Refusal> refusal;
  std::uint32_t accepted = 0;
  while (!refusal && accepted < 100) {
    refusal = own->submit(1, {0, 256, rows(1, 256)}, inbox.slot());
    if (!refusal) ++accepted;
  }
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code, absl::StatusCode::kResourceExhausted);
  EXPECT_GE(refusal->retry_after_ms, 50u);
  inbox.wait(accepted);
  own->close(1);
}

TEST(DeviceThread, ValuesThatAreNotFiniteEndTheStepNotTheOthers) {
  const auto own = device();
  Inbox bad;
  Inbox good;
  open(*own, 1);
  open(*own, 2);
  std::vector<float> damaged(demo().config.hidden, std::numeric_limits<float>::quiet_NaN());
  submit(*own, 1, 0, damaged, bad.slot());
  submit(*own, 2, 0, rows(1, 1), good.slot());
  const auto outputs = bad.wait(1);
  EXPECT_EQ(outputs[0].status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(outputs[0].x.empty());
  EXPECT_TRUE(bitwise(good.wait(1)[0].x, alone({0, 4}, rows(1, 1))));
}

// By the order of events: the completion ends only after the device has computed two more batches.
TEST(DeviceThread, ASlowCompletionDoesNotHoldUpTheNextBatch) {
  const auto own = device();
  open(*own, 1);
  open(*own, 2);
  Inbox inbox;
  std::uint64_t batches = 0;
  std::atomic<int> telling = 0;
  const auto slow = [&](StepOutput output) {
    EXPECT_EQ(++telling, 1) << "two completions at once";
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while ((batches = own->stats().batches) < 3 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    --telling;
    inbox.slot()(std::move(output));
  };
  // Two batches, both queued at once: the first of them has another behind it.
  submit(*own, 1, 0, rows(1, 1), [&](StepOutput output) {
    submit(*own, 1, 1, rows(2, 1), slow);
    submit(*own, 2, 0, rows(3, 40), slow);
    inbox.slot()(std::move(output));
  });
  const auto outputs = inbox.wait(3);
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_GE(batches, 3u) << "the device waited for a completion";
  EXPECT_EQ(outputs[0].position, 1u) << "the first step is told first";
}

TEST(DeviceThread, CompletionsOfASessionComeInTheOrderOfItsSteps) {
  const auto own = device();
  constexpr SessionKey kSessions = 4;
  constexpr std::uint32_t kSteps = 30;
  std::vector<Inbox> inboxes(kSessions);
  for (SessionKey key = 0; key < kSessions; ++key) {
    open(*own, key);
    for (std::uint32_t step = 0; step < kSteps; ++step) {
      submit(*own, key, step, rows(step, 1),
             [&own_inbox = inboxes[key], slow = (step + key) % 7 == 0](StepOutput output) {
               if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(2));
               own_inbox.slot()(std::move(output));
             });
    }
  }
  for (SessionKey key = 0; key < kSessions; ++key) {
    const auto outputs = inboxes[key].wait(kSteps);
    ASSERT_EQ(outputs.size(), kSteps);
    for (std::uint32_t step = 0; step < kSteps; ++step)
      EXPECT_EQ(outputs[step].position, step + 1) << "session " << key;
  }
}

TEST(DeviceThread, ClosingFreesThePagesOfWhatIsComputedAndNotToldYet) {
  const auto own = device();
  open(*own, 1);
  open(*own, 2);
  Inbox told;
  std::atomic<bool> closed = false;
  submit(*own, 1, 0, rows(1, 1), [&](StepOutput output) {
    own->close(1);
    const DeviceStats stats = own->stats();
    EXPECT_EQ(stats.sessions, 1);
    EXPECT_EQ(stats.pages_in_use, 0);
    closed = true;
    told.slot()(std::move(output));
  });
  told.wait(1);
  EXPECT_TRUE(closed);
}

TEST(DeviceThread, StoppingDropsWhatIsQueued) {
  Inbox inbox;
  {
    const auto own = device();
    open(*own, 1);
    for (int step = 0; step < 20; ++step) submit(*own, 1, 0, rows(1, 256), inbox.slot());
  }
  EXPECT_LT(inbox.size(), 20u);
}

TEST(DeviceThread, MeasuresItselfBeforeItServes) {
  const auto own = device();
  EXPECT_GT(own->stats().block_step_us, 0);
}

TEST(DeviceThread, BlocksBeyondTheModelAreAnError) {
  const auto started =
      DeviceThread::start(demo().config, demo().checkpoint,
                          {.span = {6, 9}, .kv_positions = 64, .threads = 1, .limits = {}});
  EXPECT_FALSE(started.ok());
}

}  // namespace
}  // namespace shoal::node
