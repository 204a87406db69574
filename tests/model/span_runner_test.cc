// SPDX-License-Identifier: Apache-2.0
// Loading spans and ends: what does not fit is named. (Their mathematics: family_test,
// demo_model_test.)
#include "model/span_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "model/block_weights.h"
#include "model/model_ends.h"
#include "model/tensor_list.h"
#include "model/weight_check.h"

namespace shoal::model {
namespace {

using testing::HasSubstr;

const std::string kFixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";

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
        executor_(kernels::Executor::cpu(1)) {}
  WeightSpec& weight(BlockWeight role) {
    std::vector<WeightSpec>& weights = config_.kinds.at(0).weights;
    return *std::find_if(weights.begin(), weights.end(),
                         [role](const WeightSpec& weight) { return weight.role == role; });
  }
  absl::StatusOr<std::unique_ptr<SpanRunner>> load(std::int64_t begin, std::int64_t end) {
    return SpanRunner::load(config_, checkpoint_, begin, end, *executor_);
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
  const ModelConfig config = load_config(SHOAL_SOURCE_DIR "/models/demo").value();
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

TEST_F(SpanRunnerTest, ASessionMayUseAPartOfTheSpan) {
  const std::unique_ptr<SpanRunner> runner = load(0, 2).value();
  const std::unique_ptr<SpanRunner> second = load(1, 2).value();
  KvPool pool(runner->kv_shape(), 8), second_pool(second->kv_shape(), 8);
  const auto start = [](KvPool& from) {
    KvLease lease = from.lease(64).value();
    lease.prepare(0, 40);
    return lease;
  };
  KvLease whole = start(pool), parts = start(pool), other = start(second_pool);
  std::vector<float> x(40 * 32);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  std::vector<float> y = x;
  const auto step = [](KvLease& lease) {
    return std::array{SequenceStep{.lease = &lease, .start_position = 0, .rows = 40}};
  };
  runner->run(step(whole), 0, 2, x);
  runner->run(step(parts), 0, 1, y);
  std::vector<float> z = y;
  runner->run(step(parts), 1, 2, y);
  second->run(step(other), 1, 2, z);
  EXPECT_TRUE(y == x);
  EXPECT_TRUE(z == x);
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
  const absl::StatusOr<ModelEnds> ends = ModelEnds::load(config_, checkpoint_, *executor_);
  ASSERT_TRUE(ends.ok()) << ends.status();
  const std::vector<std::int32_t> good = {0, 63}, above = {0, 64}, below = {-1};
  EXPECT_EQ(ends->embed(good)->size(), 64u);
  EXPECT_THAT(message(ends->embed(above).status()), HasSubstr("64"));
  EXPECT_THAT(message(ends->embed(below).status()), HasSubstr("-1"));
  EXPECT_TRUE(ends->embed({})->empty());
  EXPECT_TRUE(ends->logits({}).empty());
}

TEST_F(SpanRunnerTest, EndsWithoutAHeadAreRefusedUnlessTied) {
  const Checkpoint tied = Checkpoint::open(kFixtures + "qwen2_window").value();
  ModelConfig config = load_config(kFixtures + "qwen2_window").value();
  EXPECT_TRUE(ModelEnds::load(config, tied, *executor_).ok());
  config.tied_embeddings = false;
  EXPECT_THAT(message(ModelEnds::load(config, tied, *executor_).status()),
              HasSubstr("lm_head.weight"));
}

}  // namespace
}  // namespace shoal::model
