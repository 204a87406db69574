// SPDX-License-Identifier: Apache-2.0
// A hop that embeds and scores, as its client sees it over real TLS: the values of the model's own
// ends, and an answer to everything malformed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "kernels/executor.h"
#include "model/model_ends.h"
#include "net/identity_tls.h"
#include "node/device/row_scores.h"
#include "proto/scores.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"

namespace shoal::node {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kVocabulary = 4096;

std::unique_ptr<Node> node_with(proto::Span blocks, EndsMode ends) {
  NodeOptions options;
  options.model_directory = kDemoModel;
  options.blocks = blocks;
  options.listen = *proto::parse_endpoint("127.0.0.1:0");
  options.threads = 1;
  options.kv_positions = 4096;
  options.ends = ends;
  auto node = Node::start(std::move(options));
  CHECK(node.ok()) << node.status();
  return *std::move(node);
}

class NodeEnds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    net::init_transport();
    whole_ = node_with({0, 8}, EndsMode::kOn);
    middle_ = node_with({2, 6}, EndsMode::kAuto);
    without_ = node_with({0, 8}, EndsMode::kOff);
  }
  static void TearDownTestSuite() {
    whole_.reset();
    middle_.reset();
    without_.reset();
  }
  void TearDown() override { EXPECT_TRUE(becomes_idle(*whole_)); }

  static wire::Open open_of(const Node& node, bool embed, bool score) {
    wire::Open open = open_for(node, 512);
    open.set_embed(embed);
    open.set_score(score);
    return open;
  }
  std::unique_ptr<HopStream> opened(bool embed, bool score) {
    auto stream = client_.stream(*whole_);
    EXPECT_TRUE(stream->open(open_of(*whole_, embed, score)));
    const auto frame = stream->read();
    EXPECT_TRUE(frame && frame->has_welcome()) << (frame ? frame->DebugString() : "stream ended");
    if (frame) {
      EXPECT_EQ(frame->welcome().embeds(), embed);
      EXPECT_EQ(frame->welcome().head(), score ? wire::WEIGHTS_BF16 : wire::WEIGHTS_UNSPECIFIED);
    }
    return stream;
  }
  std::string refusal(const Node& node, const wire::Open& open, absl::StatusCode code) {
    const auto stream = client_.stream(node);
    EXPECT_TRUE(stream->open(open));
    const auto failure = stream->failure();
    if (!failure) return "none";
    EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(code));
    return failure->reason();
  }

  static wire::Step step_of_ids(std::uint64_t step_id, std::uint32_t start,
                                const std::vector<std::int32_t>& ids, wire::ReturnRows rows) {
    wire::Step step;
    step.set_epoch(1);
    step.set_step_id(step_id);
    step.set_start_position(start);
    step.set_return_rows(rows);
    step.set_token_ids(proto::encode_ids(ids));
    return step;
  }

  // What the model's own ends make of ids: [ids, vocabulary].
  static std::vector<float> logits_alone(const std::vector<std::int32_t>& ids) {
    const auto executor = kernels::Executor::cpu(1);
    const auto ends = model::ModelEnds::load(demo().config, demo().checkpoint, *executor);
    CHECK(ends.ok()) << ends.status();
    const auto rows = computed_alone({0, 8}, *ends->embed(ids));
    std::vector<float> logits(ids.size() * kVocabulary);
    ends->logits(rows, logits);
    return logits;
  }

  static std::unique_ptr<Node> whole_, middle_, without_;
  HopClient client_;
};
std::unique_ptr<Node> NodeEnds::whole_, NodeEnds::middle_, NodeEnds::without_;

const std::vector<std::int32_t> kIds = {1, 17, 4095, 300, 17};

TEST_F(NodeEnds, AreOfferedAsTheyAreServed) {
  const auto offer = [&](const Node& node) {
    wire::DescribeReply reply;
    EXPECT_TRUE(client_.describe(node, reply).ok());
    EXPECT_EQ(reply.head_us() > 0, reply.offer().head() != wire::WEIGHTS_UNSPECIFIED);
    return std::pair(reply.offer().embeds(), reply.offer().head());
  };
  EXPECT_EQ(offer(*whole_), std::pair(true, wire::WEIGHTS_BF16));
  EXPECT_EQ(offer(*middle_), std::pair(false, wire::WEIGHTS_UNSPECIFIED));
  EXPECT_EQ(offer(*without_), std::pair(false, wire::WEIGHTS_UNSPECIFIED));
}

TEST_F(NodeEnds, ScoreWhatTheModelDoes) {
  const std::vector<float> logits = logits_alone(kIds);
  const auto stream = opened(true, true);
  // All rows, two named ids of each; then the last one again, from the middle on.
  proto::ScoresWanted wanted{7, {}};
  for (std::int32_t i = 0; i < 10; ++i) wanted.also.push_back(i * 400);
  wire::Step all = step_of_ids(1, 0, kIds, wire::RETURN_ALL);
  *all.mutable_scores() = proto::to_wire(wanted);
  ASSERT_TRUE(stream->step(all));
  auto frame = stream->read(true);
  ASSERT_TRUE(frame && frame->has_result()) << (frame ? frame->DebugString() : "stream ended");
  EXPECT_FALSE(frame->result().has_activation());
  EXPECT_EQ(frame->result().start_position(), 0u);
  const auto scores = proto::decode_scores(frame->result().scores(), wanted, 5, kVocabulary);
  ASSERT_TRUE(scores.ok()) << scores.status();
  for (std::size_t row = 0; row < 5; ++row) {
    const auto expected = row_scores(std::span(logits).subspan(row * kVocabulary, kVocabulary), 7,
                                     std::span(wanted.also).subspan(row * 2, 2));
    EXPECT_EQ((*scores)[row], expected) << row;
  }
  wire::Step last = step_of_ids(2, 3, {kIds[3], kIds[4]}, wire::RETURN_LAST);
  *last.mutable_scores() = proto::to_wire(proto::ScoresWanted{proto::kMaxTopLogits, {}});
  ASSERT_TRUE(stream->step(last));
  frame = stream->read(true);
  ASSERT_TRUE(frame && frame->has_result());
  EXPECT_EQ(frame->result().start_position(), 4u);
  const auto again =
      proto::decode_scores(frame->result().scores(), {proto::kMaxTopLogits, {}}, 1, kVocabulary);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->front(),
            row_scores(std::span(logits).last(kVocabulary), proto::kMaxTopLogits, {}));
}

// Acknowledgements come after what they acknowledge, also where the head is between.
TEST_F(NodeEnds, StepsEndInTheirOrder) {
  const auto stream = opened(true, true);
  for (std::uint64_t step = 1; step <= 12; ++step) {
    const bool returns = step % 3 == 0;
    wire::Step next = step_of_ids(step, 0, std::vector<std::int32_t>(40, 5),
                                  returns ? wire::RETURN_ALL : wire::RETURN_NONE);
    if (returns) *next.mutable_scores() = proto::to_wire(proto::ScoresWanted{1, {}});
    ASSERT_TRUE(stream->step(next));
  }
  std::uint64_t acked = 0, returned = 0;
  while (acked < 12) {
    const auto frame = stream->read();
    ASSERT_TRUE(frame.has_value());
    if (frame->has_result()) {
      EXPECT_EQ(frame->result().step_id(), acked + 1);
      ++returned;
    } else {
      ASSERT_TRUE(frame->has_ack()) << frame->DebugString();
      EXPECT_EQ(frame->ack().step_id(), ++acked);
    }
  }
  EXPECT_EQ(returned, 4u);
}

TEST_F(NodeEnds, MayBeAskedForOneByOne) {
  const auto embeds = opened(true, false);
  ASSERT_TRUE(embeds->step(step_of_ids(1, 0, kIds, wire::RETURN_LAST)));
  const auto row = embeds->read(true);
  ASSERT_TRUE(row && row->has_result());
  EXPECT_EQ(row->result().activation().rows(), 1u);
  const auto scores = opened(false, true);
  wire::Step step = step_of(1, 0, random_rows(1, 3), wire::RETURN_LAST);
  *step.mutable_scores() = proto::to_wire(proto::ScoresWanted{3, {}});
  ASSERT_TRUE(scores->step(step));
  const auto told = scores->read(true);
  ASSERT_TRUE(told && told->has_result());
  EXPECT_EQ(told->result().scores().top(), 3u);
}

TEST_F(NodeEnds, SessionsThatANodeCannotServeAreRefusedByName) {
  using Code = absl::StatusCode;
  const auto reason = [&](const Node& node, bool embed, bool score, Code code) {
    return refusal(node, open_of(node, embed, score), code);
  };
  EXPECT_THAT(reason(*without_, true, false, Code::kFailedPrecondition),
              HasSubstr("does not embed"));
  EXPECT_THAT(reason(*without_, false, true, Code::kFailedPrecondition), HasSubstr("no head"));
  EXPECT_THAT(reason(*middle_, true, false, Code::kInvalidArgument), HasSubstr("first hop"));
  EXPECT_THAT(reason(*middle_, false, true, Code::kInvalidArgument), HasSubstr("last hop"));
  wire::Open behind = open_of(*whole_, true, false);
  set_previous(behind, client_.peer_id(), std::string(16, 't'));
  EXPECT_THAT(refusal(*whole_, behind, Code::kInvalidArgument), HasSubstr("first hop"));
}

TEST_F(NodeEnds, MalformedStepsEndTheSession) {
  const wire::Step good = [] {
    wire::Step step = step_of_ids(1, 0, kIds, wire::RETURN_LAST);
    *step.mutable_scores() = proto::to_wire(proto::ScoresWanted{4, {}});
    return step;
  }();
  const wire::Step rows = step_of(1, 0, random_rows(1, 2), wire::RETURN_LAST);
  struct Case {
    const char* reason;
    bool embed, score;
    std::function<void(wire::Step&)> change;
  };
  const std::vector<Case> cases = {
      {"outside of the model's vocabulary of 4096", true, true,
       [](auto& s) {
         s.set_token_ids(proto::encode_ids({{1, 4096}}));
       }},
      {"outside of the model's vocabulary", true, true,
       [](auto& s) { s.set_token_ids(std::string(8, '\xff')); }},
      {"bytes", true, true, [](auto& s) { s.set_token_ids("12345"); }},
      {"have token ids", true, true, [](auto& s) { s.clear_token_ids(); }},
      {"no activation", true, true, [&](auto& s) { *s.mutable_activation() = rows.activation(); }},
      {"no activation", true, true,
       [&](auto& s) {
         s.clear_token_ids();
         *s.mutable_activation() = rows.activation();
       }},
      {"not opened for them", false, true, [](auto&) {}},
      {"the 0 largest", true, true, [](auto& s) { s.clear_scores(); }},
      {"the 1025 largest", true, true, [](auto& s) { s.mutable_scores()->set_top(1025); }},
      {"the 4294967295 largest", true, true, [](auto& s) { s.mutable_scores()->set_top(~0u); }},
      {"outside of the model's vocabulary", true, true,
       [](auto& s) { s.mutable_scores()->set_also(std::string(4, '\xff')); }},
      {"at most 4096", true, true,
       [](auto& s) { s.mutable_scores()->set_also(std::string(4 * 4097, '\0')); }},
      {"each has as many", true, true,
       [](auto& s) {
         s.set_return_rows(wire::RETURN_ALL);
         s.mutable_scores()->set_also(std::string(4 * 4, '\0'));
       }},
      {"more than a result has", true, true,
       [](auto& s) {
         s.set_return_rows(wire::RETURN_ALL);
         s.set_token_ids(std::string(4 * 129, '\0'));
         s.mutable_scores()->set_top(1024);
       }},
      {"no rows to be scored", true, true, [](auto& s) { s.set_return_rows(wire::RETURN_NONE); }},
      {"asks for scores", true, false, [](auto&) {}},
      {"beyond the 512 positions", true, true,
       [](auto& s) { s.set_token_ids(std::string(4 * 513, '\0')); }},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto stream = opened(cases[i].embed, cases[i].score);
    wire::Step step = good;
    cases[i].change(step);
    ASSERT_TRUE(stream->step(step));
    const auto failure = stream->failure();
    ASSERT_TRUE(failure.has_value()) << i;
    EXPECT_THAT(failure->reason(), HasSubstr(cases[i].reason)) << i;
    EXPECT_EQ(failure->step_id(), 1u) << i;
  }
}

// A hop in the middle passes on what is asked of the last one, and refuses what is too much.
TEST_F(NodeEnds, AHopBetweenLooksAtWhatItPassesOn) {
  wire::Open open = open_for(*middle_, 512);
  set_next(open, *whole_, std::string(16, 't'));
  const auto stream = client_.stream(*middle_);
  ASSERT_TRUE(stream->open(open));
  ASSERT_TRUE(stream->read()->has_welcome());
  wire::Step step = step_of(1, 0, random_rows(1, 2), wire::RETURN_LAST);
  step.mutable_scores()->set_top(2000);
  ASSERT_TRUE(stream->step(step));
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_THAT(failure->reason(), HasSubstr("the 2000 largest"));
}

TEST(RowScores, AreTheLargestAndTheWeightOfTheRest) {
  const std::vector<float> logits = {0, 3, -2, 3, 1, 1, 1};
  const proto::RowScores scores = row_scores(logits, 4, std::vector<std::int32_t>{2, 3});
  const std::vector<proto::TopLogit> top = {{1, 3}, {3, 3}, {4, 1}, {5, 1}};
  EXPECT_EQ(scores.top, top);
  EXPECT_THAT(scores.also, ::testing::ElementsAre(-2, 3));
  EXPECT_NEAR(*scores.rest_log_sum, std::log(std::exp(0.0) + std::exp(-2.0) + std::exp(1.0)),
              1e-15);
  EXPECT_EQ(row_scores(logits, 1, {}).top, (std::vector<proto::TopLogit>{{1, 3}}));
  const proto::RowScores all = row_scores(logits, 1024, {});
  EXPECT_EQ(all.top.size(), 7u);
  EXPECT_FALSE(all.rest_log_sum.has_value());
  // Far below the top, and not nothing.
  const std::vector<float> far = {1000, -1000, -1000};
  EXPECT_NEAR(*row_scores(far, 1, {}).rest_log_sum, -1000 + std::log(2.0), 1e-12);
}

}  // namespace
}  // namespace shoal::node
