// SPDX-License-Identifier: Apache-2.0
// Clients without weights: nodes turn token ids into rows, and rows into scores. What is generated
// is, bit for bit, what a client with the whole model generates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using client::same_logits;
using model::WeightChoice;
using node::EndsMode;
using ::testing::HasSubstr;

class Ends : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  static client::GenerateRequest request(std::int64_t tokens = 40) {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = tokens;
    return result;
  }
};

TEST_F(Ends, GreedyIdsAreThoseOfOneProcess) {
  const auto golden = client::read_golden();
  for (const std::uint32_t nodes : {1, 3}) {
    InProcessSwarm swarm(even_spans(8, nodes));
    TestClient user(swarm.address());
    user.remote_ends = true;
    for (const auto& prompt : golden["prompts"]) {
      const auto greedy = client::golden_request(prompt);
      const auto run = user.generate(greedy);
      ASSERT_TRUE(run.result.ok()) << run.result.status();
      EXPECT_EQ(run.route.size(), nodes);
      EXPECT_TRUE(run.route.front().ends.embeds);
      EXPECT_EQ(run.route.back().ends.head, proto::WeightFormat::kBf16);
      EXPECT_EQ(run.result->ids, prompt["greedy_ids"].get<std::vector<std::int32_t>>());
      EXPECT_TRUE(same_logits(*run.result, user.generate_locally(greedy)));
      EXPECT_TRUE(run.exact);
    }
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
    std::uint64_t scored = 0;
    for (std::uint32_t i = 0; i < nodes; ++i) scored += swarm.node(i).stats().head_rows;
    EXPECT_GT(scored, 0u);
  }
}

TEST_F(Ends, AModelWithoutWeightsIsEnough) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  const auto expected = user.generate_locally(request());
  user.model().ends.reset();
  user.model().checkpoint.reset();
  ASSERT_FALSE(user.model().has_ends());
  const auto run = user.generate(request());
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.result->ids, expected.ids);
  EXPECT_EQ(run.result->text, expected.text);
}

// Filters that leave no more than the head tells: the same draws, with penalties and rules too.
TEST_F(Ends, SampledTextIsTheSame) {
  InProcessSwarm swarm(even_spans(8, 3));
  TestClient user(swarm.address());
  user.remote_ends = true;
  using Change = std::function<void(client::SamplingOptions&)>;
  const std::vector<Change> changes = {
      [](auto& s) { s.top_k = 50; },
      [](auto& s) { s.top_k = 1000, s.top_p = 0.9, s.temperature = 1.7; },
      [](auto& s) { s.top_k = 40, s.repetition_penalty = 1.3; },
      [](auto& s) { s.top_k = 40, s.presence_penalty = -2, s.frequency_penalty = -2; },
      [](auto& s) { s.greedy = true, s.repetition_penalty = 0.05; },
      [](auto& s) {
        s.greedy = true, s.rules.suppressed = {13, 5, 300};
      },
      [](auto& s) {
        s.top_k = 20, s.rules.sequence_bias = {{{4000}, 9.0}};
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    client::GenerateRequest sampled = request(24);
    sampled.sampling.greedy = false;
    sampled.sampling.temperature = 1.1;
    sampled.seed = 7 + i;
    sampled.ignore_eos = true;
    changes[i](sampled.sampling);
    const auto run = user.generate(sampled);
    ASSERT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_EQ(run.result->ids, user.generate_locally(sampled).ids) << i;
  }
}

TEST_F(Ends, LogProbabilitiesCountAllTokens) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  client::GenerateRequest scored = request(8);
  scored.top_logprobs = 3;
  const auto scores_of = [&](client::Pipeline& pipeline) {
    std::vector<client::TokenScore> scores;
    client::GenerateObserver observer;
    observer.on_score = [&](const client::TokenScore& score) { scores.push_back(score); };
    EXPECT_TRUE(client::generate(pipeline, user.model(), scored, user.interrupt(), observer).ok());
    return scores;
  };
  auto local = client::LocalPipeline::create(user.model(), 256, user.interrupt());
  user.remote_ends = true;
  auto remote = user.open(256);
  ASSERT_TRUE(remote.ok()) << remote.status();
  const auto here = scores_of(**local), there = scores_of(**remote);
  ASSERT_EQ(there.size(), 8u);
  ASSERT_EQ(here.size(), there.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    EXPECT_NEAR(there[i].token.logprob, here[i].token.logprob, 1e-12);
    ASSERT_EQ(there[i].top.size(), 3u);
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_EQ(there[i].top[j].id, here[i].top[j].id);
      EXPECT_NEAR(there[i].top[j].logprob, here[i].top[j].logprob, 1e-12);
    }
  }
}

TEST_F(Ends, PerplexityIsThatOfOneProcess) {
  InProcessSwarm swarm(even_spans(8, 3));
  TestClient user(swarm.address());
  auto ids = *user.model().tokenizer->encode(client::read_heldout());
  ids.resize(700);
  auto local = client::LocalPipeline::create(user.model(), 512, user.interrupt());
  const auto here = client::score(**local, user.model(), ids, 512, user.interrupt(), {});
  user.remote_ends = true;
  auto remote = user.open(512);
  ASSERT_TRUE(remote.ok()) << remote.status();
  const auto there = client::score(**remote, user.model(), ids, 512, user.interrupt(), {});
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->targets, 699u);
  EXPECT_NEAR(there->mean_nll, here->mean_nll, 1e-12);
}

TEST_F(Ends, QuantizedBlocksComeWithAQuantizedHead) {
  InProcessSwarm swarm({});
  swarm.add({0, 4}, WeightChoice::kQ4);
  swarm.add({4, 8}, WeightChoice::kQ4);
  TestClient user(swarm.address());
  user.remote_ends = true;
  const auto run = user.generate(request());
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.route.back().ends.head, proto::WeightFormat::kQ8);
  ASSERT_TRUE(user.model().ends->pack_head(*user.model().checkpoint, WeightChoice::kQ8, {}).ok());
  const auto expected = user.generate_locally(request(), WeightChoice::kQ4);
  EXPECT_EQ(run.result->ids, expected.ids);
  EXPECT_TRUE(same_logits(*run.result, expected));
}

// The first and the last hop are rebuilt from ids as any other.
TEST_F(Ends, AnyHopMayStop) {
  for (const std::size_t hop : {0, 2}) {
    InProcessSwarm swarm({{0, 3}, {3, 6}, {6, 8}, {0, 3}, {6, 8}});
    TestClient user(swarm.address());
    user.remote_ends = true;
    const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
      if (tokens == 10) swarm.stop(swarm.index_of(pipeline.route()[hop].peer));
    });
    ASSERT_TRUE(run.result.ok()) << "hop " << hop << ": " << run.result.status();
    EXPECT_EQ(run.reroutes, 1) << "hop " << hop;
    const auto expected = user.generate_locally(request());
    EXPECT_EQ(run.result->ids, expected.ids);
    EXPECT_TRUE(same_logits(*run.result, expected)) << "hop " << hop;
    EXPECT_TRUE(run.exact);
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
  }
}

// A node without ends runs what lies between, and nobody asks it for more.
TEST_F(Ends, NodesWithoutEndsServeTheBlocksBetween) {
  InProcessSwarm swarm({});
  const std::size_t without = swarm.add({0, 8}, WeightChoice::kStored, {}, EndsMode::kOff);
  EXPECT_EQ(swarm.node(without).ends(), proto::Ends{});
  TestClient user(swarm.address());
  user.remote_ends = true;
  user.wait = std::chrono::milliseconds(0);
  const auto nobody = user.generate(request());
  EXPECT_EQ(nobody.result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nobody.result.status().message()), HasSubstr("--ends on"));
  swarm.add({0, 2}, WeightChoice::kStored, {}, EndsMode::kOn);
  swarm.add({7, 8}, WeightChoice::kStored, {}, EndsMode::kOn);
  user.wait = std::chrono::seconds(20);
  const auto run = user.generate(request());
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  ASSERT_EQ(run.route.size(), 3u);
  EXPECT_EQ(run.route[1].peer, swarm.node(without).peer_id());
  EXPECT_EQ(run.route[1].ends, proto::Ends{});
  EXPECT_EQ(run.result->ids, user.generate_locally(request()).ids);
  // With ends of its own a client takes it whole.
  user.remote_ends = false;
  const auto own = user.generate(request());
  ASSERT_TRUE(own.result.ok()) << own.result.status();
  EXPECT_EQ(own.result->ids, run.result->ids);
}

// A prompt that nodes have kept is not sent again.
TEST_F(Ends, KeptPagesAreReused) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  user.remote_ends = true;
  user.salt = client::prefix_salt_named("ends");
  client::GenerateRequest longer = request(8);
  while (longer.prompt_ids.size() < 100) longer.prompt_ids.push_back(17);
  const auto first = user.generate(longer);
  ASSERT_TRUE(first.result.ok()) << first.result.status();
  const auto second = user.generate(longer);
  ASSERT_TRUE(second.result.ok()) << second.result.status();
  EXPECT_EQ(second.reused, 96);
  EXPECT_EQ(second.result->ids, first.result->ids);
  EXPECT_EQ(second.result->ids, user.generate_locally(longer).ids);
}

}  // namespace
}  // namespace shoal::tests
