// SPDX-License-Identifier: Apache-2.0
// Loading spans and ends: what does not fit is named. (Their mathematics: family_test,
// demo_model_test.)
#include "model/span_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "model/model_ends.h"

namespace shoal::model {
namespace {

using testing::HasSubstr;

const std::string kFixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";

std::string message(const absl::Status& status) { return std::string(status.message()); }

class SpanRunnerTest : public testing::Test {
 protected:
  SpanRunnerTest()
      : config_(load_config(kFixtures + "llama_bias").value()),
        checkpoint_(Checkpoint::open(kFixtures + "llama_bias").value()),
        executor_(kernels::Executor::cpu(1)) {}
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
  // Stored as f16 throughout, so the estimate is exact.
  EXPECT_EQ((*runner)->weight_bytes(), 2 * estimated_block_bytes(config_, kernels::DType::kF16));
}

TEST_F(SpanRunnerTest, TheEstimateIsExactForTheBundledModel) {
  const ModelConfig config = load_config(SHOAL_SOURCE_DIR "/models/demo").value();
  // 737,792 values a block: models/demo/README.md.
  EXPECT_EQ(estimated_block_bytes(config, kernels::DType::kBF16), 2u * 737'792u);
}

TEST_F(SpanRunnerTest, OnlySpansOfTheModelCanBeLoaded) {
  for (const auto& [begin, end] : {std::pair{-1, 1}, {0, 3}, {1, 1}, {2, 1}, {2, 3}}) {
    EXPECT_THAT(message(load(begin, end).status()), HasSubstr("it has blocks 0:2"));
  }
}

TEST_F(SpanRunnerTest, TensorsThatDoNotFitAreNamed) {
  config_.intermediate += 1;
  EXPECT_THAT(message(load(0, 2).status()), HasSubstr("model.layers.0.mlp.gate_proj.weight"));
}

TEST_F(SpanRunnerTest, MissingTensorsAreNamed) {
  config_.qk_norm = true;
  const absl::Status status = load(1, 2).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(message(status), HasSubstr("model.layers.1.self_attn.q_norm.weight"));
}

TEST_F(SpanRunnerTest, TensorsThatNobodyAskedForAreNamed) {
  config_.output_bias = false;
  EXPECT_THAT(message(load(1, 2).status()), HasSubstr("model.layers.1.self_attn.o_proj.bias"));
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
