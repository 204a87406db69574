// SPDX-License-Identifier: Apache-2.0
// The expected numbers were computed by transformers 4.57 (ROPE_INIT_FUNCTIONS, in float32).
#include "model/rope.h"

#include <gtest/gtest.h>

#include <vector>

namespace shoal::model {
namespace {

// transformers works in f32, we in double: a few roundings of 6e-8 apart.
constexpr float kTolerance = 5e-7f;

void expect_frequencies(const RopeTable& table, const std::vector<float>& expected) {
  ASSERT_EQ(table.inverse_frequency.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(table.inverse_frequency[i], expected[i], kTolerance * expected[i]) << "pair " << i;
  }
}

RopeConfig yarn(double factor, std::int64_t original_max_positions) {
  RopeConfig rope;
  rope.type = RopeConfig::Type::kYarn;
  rope.factor = factor;
  rope.original_max_positions = original_max_positions;
  return rope;
}

TEST(Rope, DefaultFrequenciesFallGeometrically) {
  const RopeTable table = make_rope_table(RopeConfig{}, 16, 2048);
  expect_frequencies(table, {1.0f, 0.316227764f, 0.1f, 0.0316227786f, 0.01f, 0.00316227786f, 0.001f,
                             0.000316227786f});
  EXPECT_EQ(table.attention_factor, 1.0f);
}

TEST(Rope, LinearDividesAllFrequencies) {
  RopeConfig rope;
  rope.type = RopeConfig::Type::kLinear;
  rope.theta = 5e5;
  rope.factor = 4.0;
  expect_frequencies(make_rope_table(rope, 16, 2048),
                     {0.25f, 0.0484806895f, 0.00940150768f, 0.00182316627f, 0.000353553361f,
                      6.85620471e-05f, 1.32957393e-05f, 2.57834631e-06f});
}

TEST(Rope, Llama3KeepsShortWavesAndBlendsInBetween) {
  RopeConfig rope;
  rope.type = RopeConfig::Type::kLlama3;
  rope.theta = 5e5;
  rope.factor = 8.0;
  rope.low_freq_factor = 1.0;
  rope.high_freq_factor = 4.0;
  rope.original_max_positions = 8192;
  const RopeTable table = make_rope_table(rope, 32, 131072);
  expect_frequencies(
      table, {1.0f, 0.440366626f, 0.193922758f, 0.0853971019f, 0.0376060307f, 0.0165604409f,
              0.00729266508f, 0.00321144611f, 0.000524846022f, 7.78465546e-05f, 3.42810235e-05f,
              1.50962178e-05f, 6.64786967e-06f, 2.92749974e-06f, 1.28917316e-06f, 5.6770881e-07f});
  EXPECT_EQ(table.attention_factor, 1.0f);
}

TEST(Rope, YarnInterpolatesByRotationsAndScalesAttention) {
  const RopeTable table = make_rope_table(yarn(16.0, 4096), 32, 65536);
  expect_frequencies(
      table, {1.0f, 0.562341332f, 0.316227764f, 0.177827939f, 0.1f, 0.0562341288f, 0.0273875836f,
              0.0130195469f, 0.00598214241f, 0.0026108704f, 0.00104468106f, 0.000349304872f,
              6.25e-05f, 3.51463314e-05f, 1.97642366e-05f, 1.11142463e-05f});
  EXPECT_FLOAT_EQ(table.attention_factor, 1.2772588722239782f);
}

TEST(Rope, YarnWithoutTruncationAndWithMscales) {
  RopeConfig rope = yarn(16.0, 4096);
  rope.truncate = false;
  rope.mscale = 1.0;
  rope.mscale_all_dim = 0.5;
  rope.beta_fast = 16.0;
  rope.beta_slow = 2.0;
  const RopeTable table = make_rope_table(rope, 32, 65536);
  expect_frequencies(
      table, {1.0f, 0.562341332f, 0.316227764f, 0.177827939f, 0.1f, 0.0562341288f, 0.0316227786f,
              0.0151994536f, 0.0059520239f, 0.0018876493f, 0.000240811118f, 0.000111142464f,
              6.25e-05f, 3.51463314e-05f, 1.97642366e-05f, 1.11142463e-05f});
  EXPECT_FLOAT_EQ(table.attention_factor, 1.121751143713058f);
}

TEST(Rope, YarnWithOnlyOneMscaleIgnoresIt) {
  RopeConfig rope = yarn(16.0, 4096);
  rope.mscale = 0.7;
  EXPECT_FLOAT_EQ(make_rope_table(rope, 32, 65536).attention_factor, 1.2772588722239782f);
}

TEST(Rope, YarnTakesTheGivenAttentionFactorAndMaxPositionsWithoutAnOriginal) {
  RopeConfig rope = yarn(2.0, 0);
  rope.theta = 1e6;
  rope.attention_factor = 1.25;
  const RopeTable table = make_rope_table(rope, 16, 64);
  expect_frequencies(table, {1.0f, 0.133370951f, 0.0158113893f, 0.00281170662f, 0.0005f,
                             8.89139701e-05f, 1.58113871e-05f, 2.81170674e-06f});
  EXPECT_EQ(table.attention_factor, 1.25f);
}

TEST(Rope, YarnOfAShortOriginalContextKeepsOnlyTheFirstPair) {
  RopeConfig rope = yarn(2.0, 8);
  const RopeTable table = make_rope_table(rope, 16, 4096);
  expect_frequencies(table, {1.0f, 0.158113882f, 0.05f, 0.0158113893f, 0.005f, 0.00158113893f,
                             0.0005f, 0.000158113893f});
}

}  // namespace
}  // namespace shoal::model
