// SPDX-License-Identifier: Apache-2.0
// A decode step takes nothing from the heap: not for its tables, its operators or its pages.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "model/span_runner.h"

namespace {

std::atomic<bool> armed{false};
std::atomic<int> allocations{0};

void* counted(std::size_t size, std::size_t alignment) {
  if (armed.load(std::memory_order_relaxed)) ++allocations;
  void* const memory =
      alignment > alignof(std::max_align_t)
          ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
          : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size, 0); }
void* operator new[](std::size_t size) { return counted(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace shoal::model {
namespace {

TEST(Allocation, ADecodeStepTakesNothingFromTheHeap) {
  const std::string folder = SHOAL_SOURCE_DIR "/models/demo";
  const ModelConfig config = load_config(folder).value();
  const Checkpoint checkpoint = Checkpoint::open(folder).value();
  const auto executor = kernels::Executor::cpu(2);
  constexpr std::int64_t kSessions = 3, kSteps = 3 * kPagePositions;
  struct Kept {
    kernels::KvDType dtype;
    WeightChoice weights;
  };
  for (const auto& [dtype, weights] : {Kept{kernels::KvDType::kF32, WeightChoice::kStored},
                                       Kept{kernels::KvDType::kF16, WeightChoice::kStored},
                                       Kept{kernels::KvDType::kI8, WeightChoice::kStored},
                                       Kept{kernels::KvDType::kF32, WeightChoice::kQ4}}) {
    const auto runner = SpanRunner::load(config, checkpoint, 0, 4, *executor,
                                         {.rows = 16, .kv_positions = 1024, .weights = weights})
                            .value();
    const auto pool = KvPool::create(*executor, runner->kv_shape(dtype), 1024).value();
    // A whole span, and runs of it, whose first page of a slot is another way.
    for (const std::int64_t blocks : {4, 2, 1}) {
      std::vector<KvLease> leases;
      for (std::int64_t s = 0; s < kSessions; ++s) {
        leases.push_back(pool->lease(kSteps, 0, blocks).value());
      }
      std::vector<float> x(static_cast<std::size_t>(kSessions * config.hidden), 0.01f);
      std::vector<SequenceStep> steps(kSessions);
      const auto decode = [&](std::int64_t position) {
        for (std::size_t s = 0; s < steps.size(); ++s) {
          leases[s].prepare(position, 1);
          const auto row = std::span(x).subspan(s * static_cast<std::size_t>(config.hidden),
                                                static_cast<std::size_t>(config.hidden));
          steps[s] = {&leases[s], position, 1, row, row};
        }
        runner->begin(steps, 0, blocks);
        runner->finish();
        for (KvLease& lease : leases) lease.advance(1);
      };
      decode(0);  // warm
      allocations = 0;
      armed = true;
      for (std::int64_t position = 1; position < kSteps; ++position) decode(position);
      armed = false;
      EXPECT_EQ(allocations, 0) << blocks << " blocks";
      EXPECT_EQ(leases[0].pages().size(), 3u);
    }
  }
  // The counter counts.
  armed = true;
  std::vector<int>(100).swap(*std::make_unique<std::vector<int>>());
  armed = false;
  EXPECT_GE(allocations, 2);
}

}  // namespace
}  // namespace shoal::model
