// SPDX-License-Identifier: Apache-2.0
#include "client/text/token_score.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shoal::client {
namespace {

TEST(TokenScore, IsTheLogarithmOfTheShare) {
  const std::vector<float> logits{0.0f, std::log(2.0f), std::log(5.0f)};
  const TokenScore score = score_token(logits, 1, 2);
  EXPECT_EQ(score.token.id, 1);
  EXPECT_NEAR(score.token.logprob, std::log(2.0 / 8), 1e-7);
  ASSERT_EQ(score.top.size(), 2u);
  EXPECT_EQ(score.top[0].id, 2);
  EXPECT_NEAR(score.top[0].logprob, std::log(5.0 / 8), 1e-7);
  EXPECT_EQ(score.top[1].logprob, score.token.logprob);
  EXPECT_TRUE(score_token(logits, 0, 0).top.empty());
}

TEST(TokenScore, LargeLogitsDoNotOverflow) {
  const TokenScore score = score_token(std::vector<float>{3e38f, 3e38f, -3e38f}, 0, 0);
  EXPECT_NEAR(score.token.logprob, -std::log(2.0), 1e-7);
}

}  // namespace
}  // namespace shoal::client
