// SPDX-License-Identifier: Apache-2.0
// What a client decides whose model's ends nodes compute: through whom it goes, what it asks of the
// head, and what it makes of the answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "client/swarm/probe.h"
#include "client/swarm/route.h"
#include "client/text/own_scores.h"
#include "client/text/sampler.h"
#include "client/text/score.h"
#include "client/text/scores_needed.h"
#include "client/text/token_score.h"

namespace shoal::client {
namespace {

using proto::Ends;
using proto::WeightFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kUnknown = -std::numeric_limits<float>::infinity();
constexpr Ends kBoth{true, WeightFormat::kBf16};

Candidate server(int number, proto::Span span, Ends ends, double block_us = 100) {
  Candidate candidate;
  candidate.peer.bytes[0] = static_cast<std::uint8_t>(number);
  candidate.addresses = {proto::Endpoint::v4({127, 0, 0, 1}, 7000)};
  candidate.span = span;
  candidate.ends = ends;
  candidate.rtt_us = 1000;
  candidate.load.block_step_us = block_us;
  candidate.load.free_kv_positions = 1000;
  candidate.max_positions = 1000;
  return candidate;
}

RouteRequest asks(WeightFormat head = WeightFormat::kUnknown) {
  RouteRequest request;
  request.block_count = 8;
  request.positions = 100;
  request.remote_ends = true;
  request.head = head;
  return request;
}

std::string shown(const absl::StatusOr<Route>& route) {
  if (!route.ok()) return std::string(route.status().message());
  std::string text;
  for (const Hop& hop : *route) {
    if (!text.empty()) text += " ";
    text += std::to_string(hop.peer.bytes[0]) + "[" + proto::to_string(hop.span) + ")";
    if (hop.ends.embeds) text += " embeds";
    if (hop.ends.has_head()) text += " " + proto::to_string(hop.ends.head);
  }
  return text;
}

TEST(RemoteEnds, OnlyWhoEmbedsIsFirstAndOnlyWhoHasAHeadIsLast) {
  const std::vector<Candidate> nodes = {server(1, {0, 8}, {}, 1),
                                        server(2, {0, 4}, {.embeds = true}, 1000),
                                        server(3, {4, 8}, {.head = WeightFormat::kQ8}, 1000)};
  EXPECT_EQ(shown(find_route(asks(), nodes)), "2[0:1) embeds 1[1:7) 3[7:8) q8");
  RouteRequest own = asks();
  own.remote_ends = false;
  EXPECT_EQ(shown(find_route(own, nodes)), "1[0:8)");
}

TEST(RemoteEnds, WhereNobodyComputesThemTheErrorSaysSo) {
  const std::vector<Candidate> nodes = {server(1, {0, 8}, {.embeds = true})};
  const auto route = find_route(asks(), nodes);
  EXPECT_EQ(route.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(shown(route), HasSubstr("block 7"));
  EXPECT_THAT(shown(route), HasSubstr("--ends on"));
  // Blocks that nobody serves at all are told as ever.
  EXPECT_THAT(shown(find_route(asks(), {server(1, {0, 7}, {.embeds = true})})),
              HasSubstr("no node serves block 7"));
}

TEST(RemoteEnds, ANodeOfBeforeIsNoHop) {
  std::vector<Candidate> nodes = {server(1, {0, 8}, kBoth, 1), server(2, {0, 8}, kBoth)};
  nodes[0].version_minor = proto::kMinorOfEnds - 1;
  EXPECT_EQ(shown(find_route(asks(), nodes)), "2[0:8) embeds bf16");
  EXPECT_TRUE(span_with_ends({2, 6}, {}, proto::kMinorOfEnds - 1, 8).empty());
  EXPECT_EQ(span_with_ends({2, 6}, {}, proto::kMinorOfEnds, 8), (proto::Span{2, 6}));
  EXPECT_TRUE(span_with_ends({0, 1}, {}, proto::kMinorOfEnds, 8).empty());
}

TEST(RemoteEnds, TheHeadOfTheSessionIsPreferredAndItsTimeIsPromised) {
  std::vector<Candidate> nodes = {server(1, {0, 8}, {true, WeightFormat::kQ8}, 10),
                                  server(2, {0, 8}, kBoth, 500)};
  nodes[1].head_us = 30'000;
  EXPECT_EQ(shown(find_route(asks(), nodes)), "1[0:8) embeds q8");
  const auto same = find_route(asks(WeightFormat::kBf16), nodes);
  EXPECT_EQ(shown(same), "1[0:7) embeds 2[7:8) bf16");
  EXPECT_EQ(other_kinds_us(*same, {}, WeightFormat::kBf16), 0);
  EXPECT_EQ(other_kinds_us(*same, {}, WeightFormat::kQ8), kOtherKindUs);
  const std::vector<StageCost> stages = stage_costs(*same, nodes);
  EXPECT_EQ(stages[0].head_us, 0);
  EXPECT_EQ(stages[1].head_us, 30'000);
  EXPECT_EQ(stages[1].us, stages[1].network_us + kHopOverheadUs + 500 + 30'000);
  EXPECT_EQ(route_cost_us(*same, nodes), 3 * 500 + 2 * kHopOverheadUs + 7 * 10 + 500 + 30'000);
  // A quick head is worth a slower block.
  nodes[0].head_us = 90'000;
  EXPECT_EQ(shown(find_route(asks(), nodes)), "1[0:7) embeds 2[7:8) bf16");
}

// Should the quickest have no ends, others are asked too.
TEST(RemoteEnds, NodesWithEndsAreAskedBesideQuickOnesWithout) {
  SwarmView swarm;
  swarm.block_count = 2;
  for (int number = 1; number <= 20; ++number) {
    NodeView seen;
    seen.peer.bytes[0] = static_cast<std::uint8_t>(number);
    seen.addresses = {proto::Endpoint::v4({127, 0, 0, 1}, 7000)};
    seen.offer.span = {0, 2};
    if (number > 12) seen.offer.ends = kBoth;
    seen.load.state = proto::NodeState::kOnline;
    seen.load.block_step_us = number;
    swarm.nodes.push_back(seen);
  }
  EXPECT_EQ(worth_asking(swarm, {}).back().peer.bytes[0], 6);
  const auto asked = worth_asking(swarm, {}, {}, true);
  ASSERT_EQ(asked.size(), 6u);
  EXPECT_EQ(asked.front().peer.bytes[0], 13);
}

ScoreContext context_of(const std::vector<std::int32_t>& ids, std::size_t prompt) {
  ScoreContext context;
  context.ids = ids;
  context.prompt_length = prompt;
  return context;
}

TEST(ScoresNeeded, AreFewWhereNothingMayChangeTheOrder) {
  const std::vector<std::int32_t> ids = {5, 6, 7, 6};
  const ScoreContext context = context_of(ids, 2);
  SamplingOptions options;
  EXPECT_EQ(scores_needed(options, context, 0, 100).top, 1u);
  EXPECT_EQ(scores_needed(options, context, 20, 100).top, 20u);
  options.repetition_penalty = 1.2;
  EXPECT_EQ(scores_needed(options, context, 0, 100).top, proto::kMaxTopLogits);
  EXPECT_THAT(scores_needed(options, context, 0, 100).also, IsEmpty());
  options = {};
  options.greedy = false;
  EXPECT_EQ(scores_needed(options, context, 0, 100).top, proto::kMaxTopLogits);
}

TEST(ScoresNeeded, NameWhatMayBeLifted) {
  std::vector<std::int32_t> ids = {5, 6, 7, 6, 300};
  const ScoreContext context = context_of(ids, 2);
  SamplingOptions options;
  options.presence_penalty = -1;
  EXPECT_THAT(scores_needed(options, context, 0, 100).also, ElementsAre(6, 7));
  options = {};
  options.repetition_penalty = 0.9;
  EXPECT_THAT(scores_needed(options, context, 0, 100).also, ElementsAre(6, 7, 5));
  options = {};
  options.rules.sequence_bias = {{{1, 42}, 3.0}, {{43}, -3.0}};
  EXPECT_THAT(scores_needed(options, context, 0, 100).also, ElementsAre(42));
  options = {};
  options.rules.encoder_repetition_penalty = 2;
  EXPECT_THAT(scores_needed(options, context, 0, 100).also, ElementsAre(6, 5));
  // The latest of a long text.
  ids.resize(3 * proto::kMaxAlsoIds);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  options = {};
  options.repetition_penalty = 0.9;
  const auto named = scores_needed(options, context_of(ids, 2), 0, ids.size()).also;
  ASSERT_EQ(named.size(), proto::kMaxAlsoIds);
  EXPECT_EQ(named.front(), ids.back());
}

// Of 3000 logits the 50 largest, and two by name.
TEST(ToldScores, AreWhatIsKnown) {
  base::Random random(3);
  std::vector<float> all(3000);
  for (float& value : all) value = static_cast<float>(random.uniform() * 20 - 10);
  proto::RowScores told;
  told.top = top_logits(all, 50);
  std::vector<float> rest = all;
  for (const TopLogit& top : told.top) rest[top.id] = kUnknown;
  double sum = 0;
  for (const float value : rest) sum += std::exp(static_cast<double>(value));
  told.rest_log_sum = std::log(sum);
  const std::vector<std::int32_t> also = {told.top[3].id, 17, 17};
  for (const std::int32_t id : also) told.also.push_back(all[id]);

  Scores scores;
  take_told(told, also, all.size(), scores);
  std::size_t known = 0;
  for (std::size_t id = 0; id < all.size(); ++id) {
    if (scores.logits[id] == kUnknown) continue;
    EXPECT_EQ(scores.logits[id], all[id]);
    ++known;
  }
  EXPECT_EQ(known, 51u);
  for (const std::int32_t id : {told.top[0].id, told.top[49].id, 17}) {
    EXPECT_NEAR(score_token(scores.logits, id, 2, scores.rest_log_sum).token.logprob,
                score_token(all, id, 2).token.logprob, 1e-12);
    EXPECT_NEAR(negative_log_likelihood(scores.logits, id, scores.rest_log_sum),
                negative_log_likelihood(all, id), 1e-12);
  }
  EXPECT_EQ(top_logits(scores.logits, 100).size(), 51u);
  EXPECT_EQ(top_logits(scores.logits, 5), top_logits(all, 5));

  SamplingOptions options;
  options.greedy = false;
  options.top_k = 40;
  options.top_p = 0.95;
  const auto some = distribution(scores.logits, {}, options),
             whole = distribution(all, {}, options);
  ASSERT_EQ(some.size(), whole.size());
  for (std::size_t i = 0; i < some.size(); ++i) {
    EXPECT_EQ(some[i].id, whole[i].id);
    EXPECT_EQ(some[i].probability, whole[i].probability);
  }
  // Nothing is drawn that is not known.
  options.top_k = 0;
  options.top_p = 1;
  options.repetition_penalty = 1.1;
  EXPECT_EQ(distribution(scores.logits, std::vector<std::int32_t>{0, 1, 2, 17}, options).size(),
            51u);
}

}  // namespace
}  // namespace shoal::client
