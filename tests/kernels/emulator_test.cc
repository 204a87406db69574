// SPDX-License-Identifier: Apache-2.0
// The emulator as an instrument: a kernel that is right passes in every order and with copies early
// or late, and each planted fault (planted.cuh) is found by what should find it: the emulator's own
// rules and wrong results everywhere, steps out of memory by the address sanitizer, alignment of
// plain loads by that for undefined behaviour, races by the thread sanitizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/emulator/sanitizer.h"
#include "kernels/cuda/launch.cuh"
#include "tests/kernels/planted.cuh"

#if defined(SHOAL_EMULATOR_ASAN)
// NOLINTNEXTLINE: its name is the sanitizer's
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=1"; }
#endif

namespace shoal::kernels::cuda {
namespace {

using emulator::DeviceOptions;
using emulator::EmulatedContext;
using planted::Breach;
using planted::kThreads;

constexpr int kCtas = 5;

DeviceOptions options_of(std::uint64_t seed, bool late_copies) {
  return {.machine = {.seed = seed, .late_copies = late_copies}};
}

std::vector<DeviceOptions> all_options() {
  std::vector<DeviceOptions> all;
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const bool late : {false, true}) all.push_back(options_of(seed, late));
  }
  return all;
}

// Values whose sum depends on its order.
std::vector<float> values(int count) {
  std::vector<float> made(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    made[static_cast<std::size_t>(i)] = static_cast<float>(i * 7919 % 1009 - 500) / 7.0f;
  }
  return made;
}

std::vector<float> zeros(int count) { return std::vector<float>(static_cast<std::size_t>(count)); }

std::vector<float> reversed_by(const DeviceOptions& options, planted::Reverse fault = {}) {
  EmulatedContext context(options);
  const std::vector<float> in = values(kCtas * kThreads);
  std::vector<float> out = zeros(kCtas * kThreads);
  fault.in = in.data();
  fault.out = out.data();
  launch(context, {kCtas}, kThreads, 2 * kThreads * sizeof(float), &planted::reverse, fault);
  return out;
}

std::vector<float> reversed() {
  const std::vector<float> in = values(kCtas * kThreads);
  std::vector<float> out;
  for (int cta = 0; cta < kCtas; ++cta) {
    for (int i = kThreads - 1; i >= 0; --i) {
      out.push_back(in[static_cast<std::size_t>(cta * kThreads + i)]);
    }
  }
  return out;
}

constexpr int kTiles = 7;

std::vector<float> streamed_by(const DeviceOptions& options, planted::Stream fault = {}) {
  EmulatedContext context(options);
  const std::vector<float> in = values(kCtas * kTiles * kThreads);
  std::vector<float> out = zeros(kCtas);
  fault.in = in.data();
  fault.out = out.data();
  fault.tiles = kTiles;
  launch(context, {kCtas}, kThreads, 3 * kThreads * sizeof(float), &planted::stream, fault);
  return out;
}

std::vector<float> streamed() {
  const std::vector<float> in = values(kCtas * kTiles * kThreads);
  std::vector<float> out;
  for (std::size_t cta = 0; cta < kCtas; ++cta) {
    std::vector<float> sums = zeros(kThreads);
    for (std::size_t tile = 0; tile < kTiles; ++tile) {
      for (std::size_t i = 0; i < kThreads; ++i) {
        sums[i] += in[(cta * kTiles + tile) * kThreads + (i ^ 8)];
      }
    }
    for (std::size_t step = kThreads / 2; step >= 1; step /= 2) {
      for (std::size_t i = 0; i < step; ++i) sums[i] += sums[i + step];
    }
    out.push_back(sums[0]);
  }
  return out;
}

std::vector<float> marked_by(const DeviceOptions& options, planted::Mark fault) {
  EmulatedContext context(options);
  std::vector<float> out = zeros(kCtas);
  fault.out = out.data();
  launch(context, {kCtas}, kThreads, kThreads * sizeof(float), &planted::mark, fault);
  return out;
}

void break_rule(const DeviceOptions& options, Breach breach) {
  EmulatedContext context(options);
  const std::size_t bytes = (kThreads + 4) * sizeof(float);
  auto* const memory = static_cast<float*>(std::aligned_alloc(16, bytes));
  std::fill(memory, memory + kThreads + 4, 1.0f);
  launch(context, {1}, kThreads, planted::kBreakShared, &planted::break_rule, {memory, breach});
  std::free(memory);
}

class EmulatorDeathTest : public testing::Test {
 protected:
  // A child that begins anew: the sanitizers do not like what a forked one inherits.
  EmulatorDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST(Emulator, KernelsThatAreRightPassInEveryOrder) {
  for (const DeviceOptions& options : all_options()) {
    EXPECT_EQ(reversed_by(options), reversed());
    EXPECT_EQ(streamed_by(options), streamed());
    EXPECT_THAT(marked_by(options, {.between_barriers = true}),
                testing::ElementsAre(0, 1, 2, 3, 4));
    break_rule(options, Breach::kNone);
  }
}

TEST(Emulator, RepeatsItselfForASeed) {
  EXPECT_EQ(marked_by(options_of(7, true), {.between_barriers = true}),
            marked_by(options_of(7, true), {.between_barriers = true}));
}

TEST(Emulator, WorkIsDoneAtOnceOrWhenSomebodyWaits) {
  for (const bool late : {false, true}) {
    EmulatedContext context({.late_work = late});
    std::vector<float> out = zeros(2);
    launch(context, {2}, kThreads, kThreads * sizeof(float), &planted::mark, {.out = out.data()});
    EXPECT_EQ(out[1], late ? 0.0f : 1.0f);
    context.finish();
    EXPECT_EQ(out[1], 1.0f);
  }
}

TEST(Emulator, AMachineMayBeUsedByOneThreadAfterTheOther) {
  EmulatedContext context(options_of(1, true));
  std::vector<float> out = zeros(2);
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      launch(context, {2}, kThreads, kThreads * sizeof(float), &planted::mark,
             {.out = out.data(), .between_barriers = true});
    }).join();
    EXPECT_EQ(out[1], 1.0f);
    out[1] = 0.0f;
  }
}

TEST(Emulator, GivesAsMuchMemoryAsItHas) {
  const Module& module = emulator::module({.memory_bytes = 1 << 20});
  Reason reason{};
  EXPECT_EQ(module.open(1, &reason), nullptr);
  EXPECT_NE(reason.text[0], '\0');
  Context* const context = module.open(0, &reason);
  ASSERT_NE(context, nullptr);
  void* const most = module.allocate(context, 1 << 20);
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(module.allocate(context, 1), nullptr);
  DeviceFacts facts{};
  ASSERT_TRUE(module.facts(context, &facts));
  EXPECT_EQ(facts.total_bytes, 1u << 20);
  EXPECT_EQ(facts.free_bytes, 0u);
  module.release(most, 1 << 20);
  void* const less = module.allocate(context, 1);
  EXPECT_NE(less, nullptr);
  module.close(context);
  module.release(less, 1);  // memory may outlive its device
}

// ---- a missing barrier of the CTA

const planted::Reverse kMissingBarriers[] = {{.no_barrier = true}, {.reuses_early = true}};

#if defined(SHOAL_EMULATOR_TSAN)
// Runs what must be a race: the sanitizer tells of it, and makes the exit status of it.
#define EXPECT_RACE(statement) \
  EXPECT_EXIT(                 \
      {                        \
        statement;             \
        std::exit(0);          \
      },                       \
      [](int status) { return status != 0; }, "ThreadSanitizer: data race")

TEST_F(EmulatorDeathTest, AMissingBarrierIsARace) {
  for (const planted::Reverse& fault : kMissingBarriers) {
    for (const DeviceOptions& options : all_options()) EXPECT_RACE(reversed_by(options, fault));
  }
}
#else
TEST(EmulatorFaults, AMissingBarrierGivesAWrongResult) {
  for (const planted::Reverse& fault : kMissingBarriers) {
    for (const DeviceOptions& options : all_options()) {
      EXPECT_NE(reversed_by(options, fault), reversed());
    }
  }
}
#endif

// ---- asynchronous copies

TEST(EmulatorFaults, WaitingForTooFewCopiesShowsWhenTheyAreLate) {
  for (const DeviceOptions& options : all_options()) {
    const bool right = streamed_by(options, {.waits_for_too_few = true}) == streamed();
    EXPECT_EQ(right, !options.machine.late_copies);
  }
}

TEST(EmulatorFaults, RefillingABufferThatIsReadShowsWhenCopiesAreEarly) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    EXPECT_EQ(streamed_by(options_of(seed, true), {.no_warp_barrier = true}), streamed());
#if !defined(SHOAL_EMULATOR_TSAN)
    EXPECT_NE(streamed_by(options_of(seed, false), {.no_warp_barrier = true}), streamed());
    // Only a race checker sees this one.
    EXPECT_EQ(streamed_by(options_of(seed, false), {.trusts_shuffle = true}), streamed());
#endif
  }
}

#if defined(SHOAL_EMULATOR_TSAN)
TEST_F(EmulatorDeathTest, RefillingABufferThatIsReadIsARace) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    EXPECT_RACE(streamed_by(options_of(seed, false), {.no_warp_barrier = true}));
    EXPECT_RACE(streamed_by(options_of(seed, false), {.trusts_shuffle = true}));
  }
}
#endif

TEST(EmulatorFaults, AnotherOrderOfAFoldGivesOtherBits) {
  for (const DeviceOptions& options : all_options()) {
    EXPECT_NE(streamed_by(options, {.folds_upwards = true}), streamed());
  }
}

// ---- CTAs that write one address

#if defined(SHOAL_EMULATOR_TSAN)
TEST_F(EmulatorDeathTest, CtasThatWriteOneAddressAreARace) {
  for (const bool between : {false, true}) {
    EXPECT_RACE(marked_by(options_of(1, true), {.one_place = true, .between_barriers = between}));
  }
}
#else
TEST(EmulatorFaults, CtasThatWriteOneAddressGiveOtherResultsInOtherOrders) {
  std::set<float> results;
  for (const DeviceOptions& options : all_options()) {
    results.insert(marked_by(options, {.one_place = true})[0]);
  }
  EXPECT_GT(results.size(), 1u);
}
#endif

// ---- steps out of memory, where the address sanitizer looks on

#if defined(SHOAL_EMULATOR_ASAN)
TEST_F(EmulatorDeathTest, AStepOutOfAnArrayIsFound) {
  const DeviceOptions options = options_of(1, true);
  EXPECT_DEATH(reversed_by(options, {.past_shared = true}), "heap-buffer-overflow");
  EXPECT_DEATH(reversed_by(options, {.past_global = true}), "heap-buffer-overflow");
  EXPECT_DEATH(reversed_by(options, {.past_local = true}),
               "AddressSanitizer: stack-|index .* out of bounds");
  EXPECT_DEATH(break_rule(options, Breach::kVectorMisaligned), "misaligned address");
}

TEST_F(EmulatorDeathTest, MemoryOfADeviceEndsWhereItWasAskedTo) {
  EXPECT_DEATH(
      {
        const Module& module = emulator::module({});
        Reason reason{};
        Context* const context = module.open(0, &reason);
        const char byte = 1;
        module.upload(context, static_cast<char*>(module.allocate(context, 100)) + 100, &byte, 1);
      },
      "heap-buffer-overflow");
}
#endif

// ---- rules of device.cuh and of launches

struct Rule {
  Breach breach;
  const char* said;
};

TEST_F(EmulatorDeathTest, ABrokenRuleEndsTheProgram) {
  const char* const kNever = "never reach the barrier";
  const char* const kAligned = "an address that is not aligned";
  const Rule rules[] = {
      {Breach::kBarrierInBranch, kNever},
      {Breach::kEndsBeforeBarrier, kNever},
      {Breach::kLanesPart, "meet in different operations"},
      {Breach::kLaneHasEnded, "a lane has ended|wait for others that never come"},
      {Breach::kLaneEndsLater, kNever},
      {Breach::kShuffleOfHalf, kNever},
      {Breach::kMaskTooLarge, "a mask beyond the warp"},
      {Breach::kLoadMisaligned, kAligned},
      {Breach::kCopyFromMisaligned, kAligned},
      {Breach::kCopyToMisaligned, kAligned},
      {Breach::kCopyToGlobal, "copy to outside of shared memory"},
      {Breach::kCopyPastShared, "copy to outside of shared memory"},
      {Breach::kCopyFromShared, "copy from shared memory"},
      {Breach::kTooMuchShared, "more shared memory than the launch asked for"},
      {Breach::kSharedDisagrees, "take shared memory differently"},
  };
  for (const Rule& rule : rules) {
    EXPECT_DEATH(break_rule(options_of(2, true), rule.breach), rule.said)
        << static_cast<int>(rule.breach);
  }
}

TEST_F(EmulatorDeathTest, ALaunchThatNoGpuTakesEndsTheProgram) {
  const auto start = [](Grid grid, int threads, std::size_t shared_bytes) {
    EmulatedContext context(options_of(1, true));
    float out[kCtas];
    launch(context, grid, threads, shared_bytes, &planted::mark, {.out = out});
  };
  EXPECT_DEATH(start({1}, 48, 1024), "a multiple of 32 threads");
  EXPECT_DEATH(start({1}, 0, 1024), "a multiple of 32 threads");
  EXPECT_DEATH(start({1}, 1056, 1024), "a multiple of 32 threads");
  EXPECT_DEATH(start({1, 65536}, 64, 1024), "65535 in y and in z");
  EXPECT_DEATH(start({1, 1, 65536}, 64, 1024), "65535 in y and in z");
  EXPECT_DEATH(start({std::int64_t{1} << 31}, 64, 1024), "2\\^31");
  EXPECT_DEATH(start({1}, 64, (99 << 10) + 1), "99 KiB");
}

// ---- steps that are recorded

struct Step {
  StepHeader header;
  std::vector<std::int32_t> positions, out;
};

// Records a step of 3 rows and repeats it for others; what was written for `rows`.
std::vector<std::int32_t> repeated(std::int32_t rows, bool forgetful) {
  EmulatedContext context({.late_work = true});
  Step step{{.rows = 3}, {10, 11, 12, 13, 14, 15}, std::vector<std::int32_t>(6, -1)};
  const RecordKey key{{1}};
  EXPECT_EQ(context.begin_record(key), Record::kRecording);
  launch(context, {1}, 32, 0, &planted::positions,
         {{.header = &step.header, .positions = step.positions.data()},
          step.out.data(),
          step.header.rows,
          forgetful});
  context.end_record();
  context.finish();
  EXPECT_EQ(step.out[0], -1) << "recording runs nothing";
  EXPECT_EQ(context.begin_record(key), Record::kKnown);
  step.header.rows = rows;
  context.repeat(key);
  context.finish();
  return step.out;
}

TEST(EmulatorRecords, AStepIsRepeatedWithOtherRows) {
  EXPECT_THAT(repeated(5, false), testing::ElementsAre(10, 11, 12, 13, 14, -1));
  EXPECT_THAT(repeated(1, false), testing::ElementsAre(10, -1, -1, -1, -1, -1));
}

TEST(EmulatorRecords, AKernelThatRemembersItsRowsIsFoundByOtherRows) {
  EXPECT_THAT(repeated(3, true), testing::ElementsAre(10, 11, 12, -1, -1, -1));
  EXPECT_THAT(repeated(5, true), testing::ElementsAre(10, 11, 12, -1, -1, -1));
}

TEST(EmulatorRecords, TheOldestIsForgotten) {
  EmulatedContext context({});
  for (std::int64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(context.begin_record({{i}}), Record::kRecording);
    context.end_record();
    EXPECT_EQ(context.begin_record({{i}}), Record::kKnown);
  }
  EXPECT_EQ(context.begin_record({{0}}), Record::kRecording);
  context.end_record();
}

TEST_F(EmulatorDeathTest, NobodyWaitsWhileAStepIsRecorded) {
  EXPECT_DEATH(
      {
        EmulatedContext context({});
        context.begin_record({{1}});
        context.finish();
      },
      "nobody may wait while a step is recorded");
}

}  // namespace
}  // namespace shoal::kernels::cuda
