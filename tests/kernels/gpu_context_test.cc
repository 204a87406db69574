// SPDX-License-Identifier: Apache-2.0
// What drives a GPU from the host, over a runtime on paper that does all work as late as it may:
// copies through the pinned ring, steps that are recorded, and every call failing in its turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/executor.h"
#include "kernels/cuda/gpu/context.h"
#include "kernels/cuda/gpu/reasons.h"
#include "kernels/cuda/operators.h"
#include "tests/kernels/paper_gpu.h"

extern "C" const shoal::kernels::cuda::Module* shoal_cuda_module();

namespace shoal::kernels::cuda {

// The one operator of these tests: the first output counts up.
void silu_mul(Context& context, const SiluMul& a) {
  if (!gpu(context).use()) return;
  float* const counter = a.out.data;
  gpu(context).launched(paper::launch(gpu(context).stream, [counter] { *counter += 1.0f; }),
                        nullptr);
}
void multiply(Context&, const Multiply&, const InputNorm*) {}
void gate_up(Context&, const GateUp&, const InputNorm*) {}
void pack_stored(Context&, const PackStored&) {}
void pack_portable(Context&, const PackPortable&) {}
void pack_mma(Context&, const PackMma&) {}
void attend(Context&, const Attend&) {}
void rms_norm(Context&, const RmsNorm&) {}
void rotate_append(Context&, const RotateAppend&) {}
void embed(Context&, const Embed&) {}
void finite_rows(Context&, const FiniteRows&) {}

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class GpuContextTest : public ::testing::Test {
 protected:
  ~GpuContextTest() override { EXPECT_EQ(paper::left(), 0) << "something was not given back"; }

  // A context notes its GPU as the thread's: the next machine's is another one.
  std::unique_ptr<CudaExecutor> open(const paper::Machine& machine = {}) {
    paper::start(machine);
    CudaExecutor::Opened opened = CudaExecutor::open(*shoal_cuda_module(), 0);
    why_ = opened.why;
    return std::move(opened.executor);
  }

  std::string why_;
};

std::vector<char> noise(std::size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<char> made(bytes);
  for (char& c : made) c = static_cast<char>(random());
  return made;
}

using Copies = GpuContextTest;

TEST_F(Copies, MemoryIsZeros) {
  const auto executor = open();
  const auto buffer = executor->allocate(1000);
  std::vector<char> back(1000, 'x');
  executor->download(back.data(), buffer->data(), back.size());
  executor->synchronize();
  EXPECT_EQ(back, std::vector<char>(1000, 0));
}

TEST_F(Copies, UploadedBytesMayBeChangedAtOnceHoweverManyTheyAre) {
  const auto executor = open();
  const std::size_t ring = TransferRing::kSlots * TransferRing::kSlotBytes;
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{255}, TransferRing::kSlotBytes - 1, TransferRing::kSlotBytes,
        TransferRing::kSlotBytes + 1, ring, ring + 1, 2 * ring + 12345}) {
    const auto buffer = executor->allocate(bytes);
    std::vector<char> sent = noise(bytes, 1);
    executor->upload(buffer->data(), sent.data(), bytes);
    std::fill(sent.begin(), sent.end(), 'x');
    std::vector<char> back(bytes);
    executor->download(back.data(), buffer->data(), bytes);
    executor->synchronize();
    EXPECT_EQ(back, noise(bytes, 1)) << bytes;
  }
  EXPECT_EQ(executor->failure(), "");
}

// Against plain memory: copies of all kinds and sizes in any order, waits here and there.
TEST_F(Copies, HappenInTheOrderOfTheCalls) {
  const auto executor = open();
  constexpr std::size_t kBytes = 1 << 20;
  const auto buffer = executor->allocate(kBytes);
  auto* const device = static_cast<char*>(buffer->data());
  std::vector<char> expected(kBytes, 0);
  // [reads, kBytes / 8]: each has a place of its own, and what it must hold.
  std::vector<std::vector<char>> got, want;
  got.reserve(2000);
  std::mt19937 random(7);
  const auto below = [&random](std::size_t n) { return random() % n; };
  for (unsigned i = 0; i < 2000; ++i) {
    const std::size_t bytes = 1 + below(kBytes / 8);
    const std::size_t at = below(kBytes - bytes), from = below(kBytes - bytes);
    switch (below(3)) {
      case 0: {
        const std::vector<char> sent(bytes, static_cast<char>(i));
        executor->upload(device + at, sent.data(), bytes);
        std::copy(sent.begin(), sent.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      case 1:
        if (at + bytes > from && from + bytes > at) break;  // they overlap
        executor->copy(device + at, device + from, bytes);
        std::memcpy(expected.data() + at, expected.data() + from, bytes);
        break;
      default:
        got.emplace_back(bytes);
        executor->download(got.back().data(), device + at, bytes);
        want.emplace_back(expected.data() + at, expected.data() + at + bytes);
    }
    if (below(100) == 0) executor->synchronize();
  }
  executor->synchronize();
  ASSERT_GT(got.size(), 500u);
  EXPECT_EQ(got, want);
}

TEST_F(Copies, OfTwoDownloadsToOnePlaceTheLaterCounts) {
  const auto executor = open();
  const auto buffer = executor->allocate(2 * TransferRing::kSlotBytes);
  const std::vector<char> first(TransferRing::kSlotBytes, 'a'), second(first.size(), 'b');
  executor->upload(buffer->data(), first.data(), first.size());
  std::vector<char> back(first.size());
  executor->download(back.data(), buffer->data(), back.size());
  executor->upload(buffer->data(), second.data(), second.size());
  executor->download(back.data(), buffer->data(), back.size());
  executor->synchronize();
  EXPECT_EQ(back, second);
}

// A decode step of 32 rows: nobody waits but who wants the result, however many steps there were.
TEST_F(Copies, AStepWaitsForNothingButItsResult) {
  const auto executor = open();
  const std::vector<char> rows(32 * 4096 * 4, 'r');
  const auto buffer = executor->allocate(rows.size());
  std::vector<char> back(rows.size());
  for (int step = 0; step < 100; ++step) {
    const int before = paper::waits();
    executor->upload(buffer->data(), rows.data(), rows.size());
    executor->upload(buffer->data(), rows.data(), 1000);
    executor->download(back.data(), buffer->data(), back.size());
    EXPECT_EQ(paper::waits(), before) << "step " << step;
    executor->synchronize();
  }
}

// A batch's rows, while those of the next are on their way.
TEST_F(Copies, AMarkDeliversWhatStandsBeforeItAndNotWhatStandsBehind) {
  const auto executor = open();
  const auto buffer = executor->allocate(4);
  std::string first(4, '.'), second(4, '.');
  executor->upload(buffer->data(), "one!", 4);
  executor->download(first.data(), buffer->data(), 4);
  const Executor::Mark one = executor->mark();
  EXPECT_FALSE(executor->reached(one));
  executor->upload(buffer->data(), "two!", 4);
  executor->download(second.data(), buffer->data(), 4);
  const Executor::Mark two = executor->mark();
  EXPECT_TRUE(executor->reached(one));
  EXPECT_EQ(first, "....") << "who asks does not wait";
  executor->wait(one);
  EXPECT_EQ(first, "one!");
  EXPECT_EQ(second, "....");
  executor->wait(two);
  EXPECT_EQ(second, "two!");
  executor->wait(one);
  executor->wait(0);
  EXPECT_EQ(executor->failure(), "");
}

TEST_F(Copies, AMarkThatIsForgottenWaitsForTheOldestThatIsKnown) {
  const auto executor = open();
  const auto buffer = executor->allocate(4);
  std::string back(4, '.');
  executor->upload(buffer->data(), "one!", 4);
  executor->download(back.data(), buffer->data(), 4);
  const Executor::Mark first = executor->mark();
  for (std::size_t i = 0; i < 3 * Executor::kMostMarks; ++i) executor->mark();
  executor->wait(first);
  EXPECT_EQ(back, "one!");
}

// In a process of its own: what such a GPU holds is never given back.
TEST_F(Copies, AGpuThatDoesNotAnswerIsAFailureAndNobodyWaitsForItAnyMore) {
  const auto run = [] {
    paper::Machine machine;
    paper::start(machine);
    cudaStream_t stream = nullptr;
    CHECK(cudaStreamCreateWithFlags(&stream, 0) == cudaSuccess);
    machine.hangs = true;
    paper::change(machine);
    Failure failure;
    failure.of(0, "paper GPU");
    char byte = 0;
    {
      TransferRing ring(failure, std::chrono::milliseconds(30));
      CHECK(ring.open(stream) == cudaSuccess);
      ring.download(&byte, &byte, 1);
      const std::uint64_t mark = ring.mark();
      CHECK(!ring.reached(mark));
      ring.wait(mark);
      CHECK(ring.reached(mark)) << "nothing is left to wait for";
      ring.synchronize();
    }
    CHECK(Failure::any_hangs());
    std::fprintf(stderr, "%s\n", failure.text());
    std::_Exit(0);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0),
              "GPU 0 \\(paper GPU\\) does not work any more: waiting for its work: it has not "
              "answered for 30 ms");
}

TEST_F(Copies, MemoryThatIsNotThereIsNoFailure) {
  const auto executor = open();
  EXPECT_FALSE(executor->allocate(std::size_t{2} << 30).has_value());
  EXPECT_EQ(executor->failure(), "");
  EXPECT_TRUE(executor->allocate(1000).has_value());
  EXPECT_TRUE(executor->allocate(0).has_value());
}

// A pool of pages may be freed after the executor that it came from.
TEST_F(Copies, MemoryMayOutliveItsExecutor) {
  auto executor = open();
  const auto buffer = executor->allocate(1000);
  executor.reset();
}

class Recording : public GpuContextTest {
 protected:
  std::unique_ptr<CudaExecutor> counting(const paper::Machine& machine = {}) {
    auto executor = open(machine);
    counter_ = executor->allocate(sizeof(float));
    return executor;
  }
  void run(CudaExecutor& executor, std::int64_t owner) {
    StepKey key;
    key.owner = owner;
    key.rows = 1;
    executor.run_step(key, [&] {
      ++bodies_;
      const SiluMul arguments{{}, {}, {static_cast<float*>(counter_->data()), 1, 1, 1}};
      executor.module().silu_mul(executor.context(), &arguments);
    });
  }
  float count(CudaExecutor& executor) {
    float value = -1;
    executor.download(&value, counter_->data(), sizeof(value));
    executor.synchronize();
    return value;
  }

  std::optional<Buffer> counter_;
  int bodies_ = 0;
};

TEST_F(Recording, AStepIsRecordedWhenItComesAgainAndThenRepeated) {
  const auto executor = counting();
  for (int step = 1; step <= 10; ++step) {
    run(*executor, 5);
    EXPECT_EQ(count(*executor), static_cast<float>(step));
    EXPECT_EQ(bodies_, std::min(step, 2));
  }
  EXPECT_EQ(paper::launched(), 9u);
  counter_.reset();
}

TEST_F(Recording, ThoseUsedLastAreKept) {
  const auto executor = counting();
  const auto twice = [&](std::int64_t owner) {
    run(*executor, owner);
    run(*executor, owner);
  };
  for (std::int64_t owner = 0; owner < 16; ++owner) twice(owner);
  EXPECT_EQ(paper::graphs(), 16);
  run(*executor, 0);  // so that 1 is the oldest
  twice(16);
  EXPECT_EQ(paper::graphs(), 16);
  bodies_ = 0;
  run(*executor, 0);
  run(*executor, 2);
  run(*executor, 16);
  EXPECT_EQ(bodies_, 0) << "they are known";
  run(*executor, 1);
  EXPECT_EQ(bodies_, 1) << "it was forgotten";
  EXPECT_EQ(count(*executor), 32.0f + 1 + 2 + 3 + 1);
  counter_.reset();
}

TEST_F(Recording, WhatCannotBeRecordedIsRun) {
  for (const bool capture : {true, false}) {
    paper::Machine machine;
    machine.no_capture = capture;
    machine.no_graphs = !capture;
    bodies_ = 0;
    const auto executor = counting(machine);
    for (int step = 1; step <= 5; ++step) {
      run(*executor, 5);
      EXPECT_EQ(count(*executor), static_cast<float>(step));
    }
    // Where it shows only at the end, one body ran for nothing; it is not tried again.
    EXPECT_EQ(bodies_, capture ? 5 : 6);
    EXPECT_EQ(executor->failure(), "");
    EXPECT_EQ(paper::graphs(), 0);
    counter_.reset();
  }
}

TEST_F(Recording, NothingIsCopiedToTheHostOrFromItMeanwhile) {
  for (const std::string what : {"an upload", "a download", "waiting"}) {
    const auto executor = counting();
    char byte = 0;
    const auto body = [&] {
      if (what == "an upload") executor->upload(counter_->data(), &byte, 1);
      if (what == "a download") executor->download(&byte, counter_->data(), 1);
      if (what == "waiting") executor->synchronize();
    };
    StepKey key;
    key.rows = 1;
    executor->run_step(key, body);
    EXPECT_EQ(executor->failure(), "") << "it is no record yet";
    executor->run_step(key, body);
    EXPECT_THAT(executor->failure(), HasSubstr(what + ": a step is being recorded"));
    counter_.reset();
  }
}

using Opening = GpuContextTest;

TEST_F(Opening, EveryReasonForWhichItCannotBe) {
  const auto reason = [this](const paper::Machine& machine) {
    EXPECT_EQ(open(machine), nullptr);
    EXPECT_EQ(paper::left(), 0);
    return why_;
  };
  paper::Machine machine;
  machine.driver = 0;
  EXPECT_THAT(reason(machine), HasSubstr("driver"));
  machine.driver = 12080;
  EXPECT_THAT(reason(machine), AllOf(HasSubstr("too old: it knows CUDA 12.8"),
                                     HasSubstr("needs driver 580 or newer")));
  machine = {};
  machine.gpus = 0;
  EXPECT_EQ(reason(machine), why_no_gpus());
  machine = {};
  machine.major = 7;
  EXPECT_THAT(reason(machine), StartsWith("GPU 0 (paper GPU) is too old: it has compute "));
  machine = {};
  machine.memory = 50 << 20;
  EXPECT_THAT(reason(machine), AllOf(StartsWith("GPU 0 (paper GPU) has too little free memory: "),
                                     HasSubstr("96 MiB are needed")));
  EXPECT_EQ(CudaExecutor::open(*shoal_cuda_module(), 2).why,
            "there is no GPU 2: this machine has 2, numbers 0 to 1");
}

TEST_F(Opening, TheGpuIsDescribed) {
  const auto executor = open();
  const DeviceFacts facts = executor->facts();
  EXPECT_STREQ(facts.name, "paper GPU");
  EXPECT_EQ(facts.major, 8);
  EXPECT_EQ(facts.minor, 6);
  EXPECT_EQ(facts.multiprocessors, 4);
  EXPECT_EQ(facts.total_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(facts.free_bytes, facts.total_bytes - kQuantizedScratch - kPartialScratch);
  EXPECT_EQ(facts.driver, CUDART_VERSION);
  EXPECT_EQ(facts.runtime, CUDART_VERSION);
}

// Some of everything; a big copy fills the ring.
void work(CudaExecutor& executor) {
  static const std::vector<char> sent((TransferRing::kSlots + 1) * TransferRing::kSlotBytes, 's');
  const auto buffer = executor.allocate(sent.size());
  if (!buffer.has_value()) return;
  std::vector<char> back(1000);
  executor.upload(buffer->data(), sent.data(), sent.size());
  executor.download(back.data(), buffer->data(), back.size());
  executor.copy(buffer->data(), static_cast<char*>(buffer->data()) + 4096, 4096);
  for (std::int64_t step = 0; step < 60; ++step) {
    StepKey key;
    key.owner = step % 20 < 17 ? step / 3 : 1000;
    key.rows = 1;
    executor.run_step(key, [&] {
      const SiluMul arguments{{}, {}, {static_cast<float*>(buffer->data()), 1, 1, 1}};
      executor.module().silu_mul(executor.context(), &arguments);
    });
  }
  executor.synchronize();
}

// Whichever call it is: the first failure is kept, names the call and the error, and nothing is
// left behind. Errors of capturing alone are no failure: the step is run instead.
TEST_F(Opening, EveryCallFailsInItsTurn) {
  int all = 0;
  {
    const auto executor = open();
    ASSERT_NE(executor, nullptr);
    work(*executor);
    EXPECT_EQ(executor->failure(), "");
    all = paper::calls();
  }
  ASSERT_GT(all, 200);
  int of_opening = 0, of_work = 0;
  for (const bool sticky : {true, false}) {
    for (int n = 1; n <= all; n += n < 60 ? 1 : 9) {
      SCOPED_TRACE(n);
      paper::Machine machine;
      machine.fail_at = n;
      machine.sticky = sticky;
      const auto executor = open(machine);
      if (executor == nullptr) {
        EXPECT_THAT(why_, HasSubstr("an illegal memory access was encountered"));
        ++of_opening;
        continue;
      }
      work(*executor);
      const std::string failure = executor->failure();
      if (failure.empty()) {
        EXPECT_THAT(paper::failed(),
                    ::testing::AnyOf("", "cudaStreamBeginCapture", "cudaStreamEndCapture",
                                     "cudaGraphInstantiate", "cudaGraphDestroy", "cudaFree",
                                     "cudaPointerGetAttributes"));
        continue;
      }
      ++of_work;
      EXPECT_THAT(failure, AllOf(StartsWith("GPU 0 (paper GPU) does not work any more: "),
                                 HasSubstr(": an illegal memory access was encountered")));
      work(*executor);
      EXPECT_EQ(executor->failure(), failure) << "the first is kept";
    }
  }
  EXPECT_GT(of_opening, 30);
  EXPECT_GT(of_work, 40);
}

}  // namespace
}  // namespace shoal::kernels::cuda
