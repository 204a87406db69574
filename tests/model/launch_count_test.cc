// SPDX-License-Identifier: Apache-2.0
// How many kernels a GPU launches for a step: a launch costs a microsecond or more whatever it
// does, so nobody adds one unawares. docs/cuda.md has the same numbers.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "model/span_runner.h"
#include "tests/model/engine.h"

namespace shoal::model {
namespace {

constexpr std::int64_t kMostRows = 280, kBlocks = 2;

class LaunchCount : public testing::TestWithParam<const char*> {
 protected:
  // Of a step of so many rows, one session each or all of one, from position 0 on or after
  // `before`. The first time it is recorded, the second time repeated.
  class Model {
   public:
    Model(const std::string& folder, WeightChoice weights)
        : config_(load_config(folder).value()),
          checkpoint_(Checkpoint::open(folder).value()),
          runner_(SpanRunner::load(
                      config_, checkpoint_, 0, kBlocks, *engine_,
                      {.rows = kMostRows, .kv_positions = 64 * kMostRows, .weights = weights})
                      .value()),
          pool_(KvPool::create(*engine_, runner_->kv_shape(), 64 * kMostRows).value()) {}

    std::int64_t of_prefill(std::int64_t rows) {
      KvLease lease = pool_->lease(kMostRows).value();
      return launches_of({{&lease, rows}});
    }
    // Sessions that have `before` positions each.
    std::int64_t of_decode(std::int64_t sessions, std::int64_t before) {
      std::vector<KvLease> leases;
      std::vector<Part> parts;
      for (std::int64_t i = 0; i < sessions; ++i) {
        leases.push_back(pool_->lease(kMostRows).value());
        if (before > 0) {
          launches_of({{&leases.back(), before}});
          leases.back().advance(before);
        }
      }
      for (KvLease& lease : leases) parts.push_back({&lease, 1});
      const std::int64_t recorded = launches_of(parts);
      EXPECT_EQ(launches_of(parts), recorded) << "repeated";
      return recorded;
    }

   private:
    struct Part {
      KvLease* lease;
      std::int64_t rows;
    };
    std::int64_t launches_of(const std::vector<Part>& parts) {
      const std::int64_t before = launches();
      std::vector<SequenceStep> steps;
      const std::vector<float> x(static_cast<std::size_t>(kMostRows * config_.hidden), 0.5f);
      for (const Part& part : parts) {
        const std::int64_t position = part.lease->position();
        part.lease->prepare(position, part.rows);
        steps.push_back({part.lease,
                         position,
                         part.rows,
                         std::span(x).first(static_cast<std::size_t>(part.rows * config_.hidden)),
                         {}});
      }
      runner_->begin(steps, 0, kBlocks);
      runner_->finish();
      return launches() - before;
    }
    std::int64_t launches() const {
      const auto& gpu = static_cast<const kernels::cuda::CudaExecutor&>(*engine_);
      return kernels::cuda::emulator::emulated(*gpu.context()).launches();
    }

    const std::unique_ptr<kernels::Executor> engine_ = make_engine(1);
    const ModelConfig config_;
    const Checkpoint checkpoint_;
    const std::unique_ptr<SpanRunner> runner_;
    const std::unique_ptr<KvPool> pool_;
  };

  static Model model(WeightChoice weights) {
    return Model(std::string(SHOAL_SOURCE_DIR "/tests/fixtures/models/") + GetParam(), weights);
  }
};

// Of so many a block; one more for what is finite.
constexpr std::int64_t step(std::int64_t of_block) { return kBlocks * of_block + 1; }

// Norm, query key value, rotation and pages, attention, output; norm, gate and up, down.
TEST_P(LaunchCount, OfStoredWeights) {
  Model stored = model(WeightChoice::kStored);
  EXPECT_EQ(stored.of_decode(1, 0), step(6)) << "norms are in the products";
  EXPECT_EQ(stored.of_decode(2, 20), step(6)) << "likewise";
  EXPECT_EQ(stored.of_decode(1, 270), step(7)) << "splits are merged";
  EXPECT_EQ(stored.of_decode(5, 0), step(8));
  EXPECT_EQ(stored.of_decode(32, 0), step(8));
  EXPECT_EQ(stored.of_prefill(48), step(8));
  EXPECT_EQ(stored.of_prefill(49), step(12)) << "rows are packed for each product";
}

// Up to four rows are quantized in the products; of more, those that are normed are quantized
// there, those of attention and of gate and up in launches of their own.
TEST_P(LaunchCount, OfPortableWeights) {
  for (const WeightChoice weights : {WeightChoice::kQ8, WeightChoice::kQ4}) {
    Model portable = model(weights);
    EXPECT_EQ(portable.of_decode(1, 0), step(6)) << "norms are in the products";
    EXPECT_EQ(portable.of_decode(2, 20), step(6)) << "likewise";
    EXPECT_EQ(portable.of_decode(1, 270), step(7)) << "splits are merged";
    EXPECT_EQ(portable.of_decode(3, 0), step(8));
    EXPECT_EQ(portable.of_decode(5, 0), step(10));
    EXPECT_EQ(portable.of_prefill(32), step(10));
    EXPECT_EQ(portable.of_prefill(60), step(10));
  }
}

// Without norms of heads, and with.
INSTANTIATE_TEST_SUITE_P(Families, LaunchCount, testing::Values("llama_bias", "qwen3_bias"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace shoal::model
