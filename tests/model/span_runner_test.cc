// SPDX-License-Identifier: Apache-2.0
// Loading spans and ends: what does not fit is named. (Their mathematics: family_test,
// demo_model_test.)
#include "model/span_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/block_weights.h"
#include "model/model_ends.h"
#include "model/tensor_list.h"
#include "model/weight_check.h"
#include "tests/model/engine.h"
#include "tests/support/source_folder.h"

namespace shoal::model {
namespace {

using testing::HasSubstr;

const std::string kFixtures = SHOAL_SOURCE_FOLDER + "/tests/fixtures/models/";

// What the blocks' specs say: of the first, in one type.
std::size_t block_bytes(const ModelConfig& config, kernels::DType dtype) {
  std::int64_t values = 0;
  for (const TensorSpec& tensor : block_tensors(config, 0)) values += tensor.values();
  return static_cast<std::size_t>(values) * kernels::dtype_bytes(dtype);
}

std::string message(const absl::Status& status) { return std::string(status.message()); }

class SpanRunnerTest : public testing::Test {
 protected:
  SpanRunnerTest()
      : config_(load_config(kFixtures + "llama_bias").value()),
        checkpoint_(Checkpoint::open(kFixtures + "llama_bias").value()),
        executor_(make_engine(1)) {}
  WeightSpec& weight(BlockWeight role) {
    std::vector<WeightSpec>& weights = config_.kinds.at(0).weights;
    return *std::find_if(weights.begin(), weights.end(),
                         [role](const WeightSpec& weight) { return weight.role == role; });
  }
  absl::StatusOr<std::unique_ptr<SpanRunner>> load(std::int64_t begin, std::int64_t end) {
    return SpanRunner::load(config_, checkpoint_, begin, end, *executor_,
                            {.rows = 64, .kv_positions = 256});
  }

  ModelConfig config_;
  Checkpoint checkpoint_;
  std::unique_ptr<kernels::Executor> executor_;
};

TEST_F(SpanRunnerTest, KnowsItsKvShapeAndWeights) {
  const auto runner = load(0, 2);
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->kv_shape().blocks, 2);
  EXPECT_EQ((*runner)->kv_shape().kv_heads, 2);
  EXPECT_EQ((*runner)->kv_shape().head_dim, 16);
  // Stored as f16 throughout.
  EXPECT_EQ((*runner)->weight_bytes(), 2 * block_bytes(config_, kernels::DType::kF16));
}

TEST_F(SpanRunnerTest, TheSpecIsExactForTheBundledModel) {
  const ModelConfig config = load_config(SHOAL_SOURCE_FOLDER + "/models/demo").value();
  // 737,792 values a block: models/demo/README.md.
  EXPECT_EQ(block_bytes(config, kernels::DType::kBF16), 2u * 737'792u);
}

TEST_F(SpanRunnerTest, WeightsAreUsedWhereTheFileIsMapped) {
  const BlockWeights block = BlockWeights::load(config_, checkpoint_, 1).value();
  const auto& tensors = checkpoint_.tensors();
  EXPECT_EQ(block.gate.data, tensors.at("model.layers.1.mlp.gate_proj.weight").data);
  EXPECT_EQ(block.q_bias.data, tensors.at("model.layers.1.self_attn.q_proj.bias").data);
  EXPECT_EQ(block.mlp_norm.data, tensors.at("model.layers.1.post_attention_layernorm.weight").data);
}

// Rows [0, x.size() / 32) of one session, in place.
void run(SpanRunner& runner, KvLease& lease, std::int64_t first, std::int64_t last,
         std::vector<float>& x, std::int64_t start = 0) {
  const SequenceStep step{&lease, start, static_cast<std::int64_t>(x.size()) / 32, x, x};
  runner.begin({&step, 1}, first, last);
  runner.finish();
}

std::vector<float> some_rows(std::int64_t rows) {
  std::vector<float> x(static_cast<std::size_t>(rows * 32));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  return x;
}

TEST_F(SpanRunnerTest, ASessionMayUseAPartOfTheSpan) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const std::unique_ptr<SpanRunner> second = load(1, 2).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 256).value();
  const auto second_pool = KvPool::create(*executor_, second->kv_shape(), 256).value();
  const auto start = [](std::optional<KvLease> lease) {
    lease->prepare(0, 40);
    return *std::move(lease);
  };
  KvLease whole = start(pool->lease(64)), parts = start(pool->lease(64));
  KvLease first = start(pool->lease(64, 0, 1)), last = start(pool->lease(64, 1, 2));
  KvLease other = start(second_pool->lease(64));
  std::vector<float> x = some_rows(40), y = x, w = x;
  run(*runner, whole, 0, 2, x);
  run(*runner, parts, 0, 1, y);
  std::vector<float> z = y;
  run(*runner, parts, 1, 2, y);
  run(*second, other, 1, 2, z);
  EXPECT_TRUE(y == x);
  EXPECT_TRUE(z == x);
  // With leases of these blocks only.
  run(*runner, first, 0, 1, w);
  run(*runner, last, 1, 2, w);
  EXPECT_TRUE(w == x);
}

TEST_F(SpanRunnerTest, OnlyTheRowsThatAreWantedComeBack) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 256).value();
  std::vector<float> all = some_rows(12);
  KvLease lease = pool->lease(64).value();
  lease.prepare(0, 12);
  run(*runner, lease, 0, 2, all);
  const std::vector<float> x = some_rows(12);
  KvLease a = pool->lease(64).value(), b = pool->lease(64).value(), c = pool->lease(64).value();
  for (KvLease* each : {&a, &b, &c}) each->prepare(0, 12);
  std::vector<float> two(2 * 32), none, rest(12 * 32);
  const std::array steps{SequenceStep{&a, 0, 12, x, two}, SequenceStep{&b, 0, 12, x, none},
                         SequenceStep{&c, 0, 12, x, rest}};
  runner->begin(steps, 0, 2);
  runner->finish();
  EXPECT_EQ(two, std::vector<float>(all.end() - 2 * 32, all.end()));
  EXPECT_EQ(rest, all);
}

// Of every row that a step computed, wanted or not; whatever is in the steps beside it, and in the
// steps before it. With as many rows as a device repeats, and with more.
TEST_F(SpanRunnerTest, SaysWhoseRowsAreFinite) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 1024).value();
  for (const std::int64_t rows : {3, 15}) {
    const std::vector<float> good = some_rows(rows);
    const auto finite = [&](const std::vector<float>& x) {
      KvLease a = pool->lease(64).value(), b = pool->lease(64).value(), c = pool->lease(64).value();
      for (KvLease* each : {&a, &b, &c}) each->prepare(0, rows);
      std::vector<float> last(32);
      std::array<bool, 4> flags{};
      flags[3] = true;
      const std::array steps{SequenceStep{&a, 0, rows, good, last, &flags[0]},
                             SequenceStep{&b, 0, rows, x, last, &flags[1]},
                             SequenceStep{&c, 0, rows, good, {}, &flags[2]},
                             SequenceStep{&c, 0, 0, {}, {}, nullptr}};
      runner->begin(steps, 0, 2);
      runner->finish();
      return flags;
    };
    const std::array<bool, 4> all{true, true, true, true}, but_one{true, false, true, true};
    EXPECT_EQ(finite(good), all);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const std::size_t at : {std::size_t{0}, std::size_t{40}, good.size() - 1}) {
        std::vector<float> x = good;
        x[at] = bad;
        EXPECT_EQ(finite(x), but_one) << rows << " rows, " << bad << " at " << at;
      }
      EXPECT_EQ(finite(good), all);
    }
  }
}

// What came in is finite, what comes out is not: the session has read what it kept before.
TEST_F(SpanRunnerTest, RowsThatReadWhatIsNotFiniteAreNot) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 256).value();
  KvLease good = pool->lease(64).value(), bad = pool->lease(64).value();
  const std::vector<float> row = some_rows(1);
  const auto both = [&](std::int64_t position, const std::vector<float>& of_bad) {
    for (KvLease* each : {&good, &bad}) each->prepare(position, 1);
    std::array<bool, 2> flags{};
    const std::array steps{SequenceStep{&bad, position, 1, of_bad, {}, &flags[0]},
                           SequenceStep{&good, position, 1, row, {}, &flags[1]}};
    runner->begin(steps, 0, 2);
    runner->finish();
    for (KvLease* each : {&good, &bad}) each->advance(1);
    return flags;
  };
  const std::array<bool, 2> but_one{false, true};
  EXPECT_EQ(both(0, std::vector<float>(32, NAN)), but_one);
  EXPECT_EQ(both(1, row), but_one);
}

TEST_F(SpanRunnerTest, NoRowsAreFinite) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 256).value();
  KvLease lease = pool->lease(64).value();
  bool finite = false;
  const SequenceStep step{&lease, 0, 0, {}, {}, &finite};
  runner->begin({&step, 1}, 0, 2);
  runner->finish();
  EXPECT_TRUE(finite);
}

// The laws hold for every type of page: chunks change nothing, and narrow pages stay near f32.
TEST_F(SpanRunnerTest, NarrowPagesKeepTheLawAndStayNear) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  std::vector<float> wide;
  for (const auto& [dtype, rounding] : {std::pair{kernels::KvDType::kF32, 0.0f},
                                        {kernels::KvDType::kBF16, 0x1p-8f},
                                        {kernels::KvDType::kF16, 0x1p-11f},
                                        {kernels::KvDType::kI8, 0.5f / 127}}) {
    const auto pool = KvPool::create(*executor_, runner->kv_shape(dtype), 256).value();
    KvLease whole = pool->lease(64).value(), pieces = pool->lease(64).value();
    std::vector<float> x = some_rows(40);
    const std::vector<float> rows = x;
    whole.prepare(0, 40);
    run(*runner, whole, 0, 2, x);
    std::vector<float> joined;
    for (std::int64_t begin = 0; begin < 40; begin += 7) {
      const std::int64_t end = std::min<std::int64_t>(begin + 7, 40);
      std::vector<float> part(rows.begin() + begin * 32, rows.begin() + end * 32);
      pieces.prepare(begin, end - begin);
      run(*runner, pieces, 0, 2, part, begin);
      pieces.advance(end - begin);
      joined.insert(joined.end(), part.begin(), part.end());
    }
    EXPECT_TRUE(joined == x) << kernels::kv_dtype_name(dtype);
    if (wide.empty()) wide = x;
    float furthest = 0, largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      furthest = std::max(furthest, std::abs(x[i] - wide[i]));
      largest = std::max(largest, std::abs(wide[i]));
    }
    // A few roundings of what attention adds, carried through two blocks.
    EXPECT_LE(furthest, 8 * rounding * largest)
        << kernels::kv_dtype_name(dtype) << " of " << largest;
    EXPECT_EQ(furthest > 0, dtype != kernels::KvDType::kF32);
  }
}

TEST_F(SpanRunnerTest, MoreRowsThanTheWorkspaceHasRoomForAreOurMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::unique_ptr<SpanRunner> runner = load(0, 1).value();
  const auto pool = KvPool::create(*executor_, runner->kv_shape(), 256).value();
  KvLease lease = pool->lease(65).value();
  lease.prepare(0, 65);
  std::vector<float> x = some_rows(65);
  EXPECT_DEATH(run(*runner, lease, 0, 1, x), "65 rows in a plan of 64");
}

TEST_F(SpanRunnerTest, OnlySpansOfTheModelCanBeLoaded) {
  for (const auto& [begin, end] : {std::pair{-1, 1}, {0, 3}, {1, 1}, {2, 1}, {2, 3}}) {
    EXPECT_THAT(message(load(begin, end).status()), HasSubstr("it has blocks 0:2"));
  }
}

TEST_F(SpanRunnerTest, TensorsThatDoNotFitAreNamed) {
  weight(BlockWeight::kGate).rows += 1;
  EXPECT_THAT(message(load(0, 2).status()), HasSubstr("model.layers.0.mlp.gate_proj.weight"));
}

TEST_F(SpanRunnerTest, MissingTensorsAreNamed) {
  config_.kinds.at(0).weights.push_back(
      {BlockWeight::kQueryNorm, "self_attn.q_norm", 0, 16, false});
  const absl::Status status = load(1, 2).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(message(status), HasSubstr("model.layers.1.self_attn.q_norm.weight"));
}

TEST_F(SpanRunnerTest, TensorsThatNobodyAskedForAreNamed) {
  weight(BlockWeight::kAttentionOutput).bias = false;
  EXPECT_TRUE(load(1, 2).ok());
  EXPECT_THAT(check_weights(config_, checkpoint_).value(),
              testing::ElementsAre(HasSubstr("model.layers.1.self_attn.o_proj.bias")));
}

TEST_F(SpanRunnerTest, EndsRefuseIdsOutsideTheVocabulary) {
  const auto cpu = kernels::Executor::cpu(1);
  const absl::StatusOr<ModelEnds> ends = ModelEnds::load(config_, checkpoint_, *cpu);
  ASSERT_TRUE(ends.ok()) << ends.status();
  const std::vector<std::int32_t> good = {0, 63}, above = {0, 64}, below = {-1};
  EXPECT_EQ(ends->embed(good)->size(), 64u);
  EXPECT_THAT(message(ends->embed(above).status()), HasSubstr("64"));
  EXPECT_THAT(message(ends->embed(below).status()), HasSubstr("-1"));
  EXPECT_TRUE(ends->embed({})->empty());
  ends->logits({}, {});  // no rows, no logits
}

TEST_F(SpanRunnerTest, EndsWithoutAHeadAreRefusedUnlessTied) {
  const Checkpoint tied = Checkpoint::open(kFixtures + "qwen2_window").value();
  ModelConfig config = load_config(kFixtures + "qwen2_window").value();
  const auto cpu = kernels::Executor::cpu(1);
  EXPECT_TRUE(ModelEnds::load(config, tied, *cpu).ok());
  config.tied_embeddings = false;
  EXPECT_THAT(message(ModelEnds::load(config, tied, *cpu).status()), HasSubstr("lm_head.weight"));
}

}  // namespace
}  // namespace shoal::model
