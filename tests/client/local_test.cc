// SPDX-License-Identifier: Apache-2.0
// Generation and scoring in one process, held against the demo model's golden values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "client/text/generate.h"
#include "client/text/local_pipeline.h"
#include "client/text/score.h"
#include "tests/client/golden.h"

namespace shoal::client {
namespace {

using ::testing::HasSubstr;

class Local : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { demo_ = load_demo().release(); }
  static void TearDownTestSuite() {
    delete demo_;
    demo_ = nullptr;
  }

  std::unique_ptr<LocalPipeline> pipeline(std::int64_t positions = 512) {
    auto created = LocalPipeline::create(*demo_, positions, interrupt_);
    CHECK(created.ok()) << created.status();
    return *std::move(created);
  }
  GenerateResult run(const GenerateRequest& request, const GenerateObserver& observer = {}) {
    auto result = generate(*pipeline(), *demo_, request, interrupt_, observer);
    CHECK(result.ok()) << result.status();
    return *std::move(result);
  }
  GenerateRequest request(const std::string& prompt, std::int64_t max_tokens) {
    GenerateRequest result;
    result.prompt_ids = *demo_->tokenizer->encode(prompt);
    result.max_tokens = max_tokens;
    return result;
  }

  static UserModel* demo_;
  base::StopToken interrupt_;
};
UserModel* Local::demo_ = nullptr;

TEST_F(Local, AutoTakesTheWidestWeightsThatFitBesideTheEnds) {
  const auto chosen = [&](std::uint64_t mib) {
    return choose_local_weights({{mib << 20, "a limit", false}, std::nullopt}, *demo_, 512,
                                kernels::KvDType::kF32);
  };
  // 2 MiB of embedding, 8 blocks of 1.4 MiB and their 4 MiB of KV, and what a program takes.
  EXPECT_EQ(chosen(200).weights, model::WeightChoice::kStored);
  const LocalWeights narrow = chosen(24);
  EXPECT_GT(narrow.weights, model::WeightChoice::kStored);
  EXPECT_THAT(narrow.reason, HasSubstr("is the widest format in which 8 blocks fit; stored 0"));
  EXPECT_EQ(chosen(4).weights, model::WeightChoice::kQ4S);
  EXPECT_THAT(chosen(4).reason, HasSubstr("does not fit into a limit in any format"));
}

TEST_F(Local, GoldenPromptsGiveTheGoldenIdsTextAndLogits) {
  const auto golden = read_golden();
  for (const auto& prompt : golden["prompts"]) {
    const std::string text = prompt["prompt"];
    EXPECT_EQ(*demo_->tokenizer->encode(text),
              prompt["prompt_ids"].get<std::vector<std::int32_t>>());
    std::string streamed;
    const GenerateResult result =
        run(golden_request(prompt), {[&](const std::string& piece) { streamed += piece; }, {}, {}});
    EXPECT_EQ(result.ids, prompt["greedy_ids"].get<std::vector<std::int32_t>>()) << text;
    EXPECT_EQ(text + result.text, prompt["text"]);
    EXPECT_EQ(streamed, result.text);
    EXPECT_EQ(result.finish_reason, "length");
    EXPECT_EQ(result.per_token_ms.size() + 1, result.ids.size());
    for (const auto& [key, step] :
         {std::pair{"first_top5", std::size_t{0}}, std::pair{"last_top5", result.ids.size() - 1}}) {
      for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(result.top_logits[step][i].id, prompt[key][i][0]) << text << key;
        EXPECT_NEAR(result.top_logits[step][i].value, prompt[key][i][1], 1e-3) << text << key;
      }
    }
  }
}

// A head may have more rows than the tokenizer has tokens. Here the demo's tokenizer keeps its
// first 400 ids and its last: whatever else the model chooses has no text.
TEST_F(Local, IdsWithoutATokenHaveNoTextAndEndNothing) {
  constexpr std::int32_t kKept = 400;
  auto file = nlohmann::json::parse(tests::read_file(demo_folder() + "/tokenizer.json"));
  auto& vocabulary = file["model"]["vocab"];
  nlohmann::json kept;
  for (const auto& [token, id] : vocabulary.items()) {
    if (id.get<std::int32_t>() < kKept || id == 4095) kept[token] = id;
  }
  vocabulary = kept;
  auto& merges = file["model"]["merges"];  // each made one token, in the order of the ids
  merges.erase(merges.begin() + (kKept - 258), merges.end());
  auto fewer = model::Tokenizer::parse(file.dump());
  ASSERT_TRUE(fewer.ok()) << fewer.status();

  const GenerateRequest request = golden_request(read_golden()["prompts"][0]);
  const GenerateResult known = run(request);
  std::vector<std::int32_t> with_text;
  std::copy_if(known.ids.begin(), known.ids.end(), std::back_inserter(with_text),
               [](std::int32_t id) { return id < kKept || id == 4095; });
  ASSERT_LT(with_text.size(), known.ids.size());

  const auto model = load_demo();
  *model->tokenizer = *std::move(fewer);
  const auto result = generate(*pipeline(), *model, request, interrupt_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->ids, known.ids);
  EXPECT_EQ(result->text, *demo_->tokenizer->decode(with_text));
  EXPECT_EQ(result->finish_reason, "length");
}

TEST_F(Local, GoldenPerplexity) {
  const auto golden = read_golden()["heldout"];
  const auto ids = *demo_->tokenizer->encode(read_heldout());
  std::size_t last_done = 0;
  const auto result =
      score(*pipeline(), *demo_, ids, 512, interrupt_, [&](std::size_t done, std::size_t all) {
        EXPECT_GT(done, last_done);
        EXPECT_EQ(all, ids.size() - 1);
        last_done = done;
      });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->targets, golden["targets"]);
  EXPECT_EQ(last_done, result->targets);
  EXPECT_NEAR(result->mean_nll, golden["mean_nll"], 1e-5);
  EXPECT_NEAR(result->perplexity, golden["perplexity"], 2e-4);
  const auto windows = golden["window_mean_nll"].get<std::vector<double>>();
  ASSERT_EQ(result->window_mean_nll.size(), windows.size());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    EXPECT_NEAR(result->window_mean_nll[i], windows[i], 1e-5) << i;
  }
}

TEST(NegativeLogLikelihood, IsTheLogOfTheSoftmax) {
  const std::vector<float> logits{1, 2, 3};
  const double sum = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  EXPECT_NEAR(negative_log_likelihood(logits, 1), -std::log(std::exp(2.0) / sum), 1e-15);
  // Large logits do not overflow.
  EXPECT_NEAR(negative_log_likelihood(std::vector<float>{1000, 1000}, 0), std::log(2.0), 1e-12);
}

// Row invariance as the client sees it: what failover relies upon.
TEST_F(Local, RowsDoNotDependOnHowTheTokensCame) {
  const auto ids =
      demo_->tokenizer->encode("There was once a king who had three sons, and").value();
  auto whole = pipeline();
  const auto expected = *whole->append(ids, RowsWanted::kAll);
  auto single = pipeline();
  std::vector<float> rows;
  for (const std::int32_t id : ids) {
    const auto row = *single->append(std::span(&id, 1), RowsWanted::kLast);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  EXPECT_EQ(rows, expected);
  whole->truncate(3);
  EXPECT_EQ(whole->position(), 3);
  const auto tail = *whole->append(std::span(ids).subspan(3), RowsWanted::kAll);
  EXPECT_EQ(tail, std::vector<float>(expected.begin() + 3 * 256, expected.end()));
  EXPECT_TRUE(whole->append(std::span(ids).first(1), RowsWanted::kNone)->empty());
}

TEST_F(Local, StopStringsCutTheText) {
  GenerateRequest stopping = request("Once upon a time", 60);
  const GenerateResult whole = run(stopping);
  ASSERT_THAT(whole.text, HasSubstr(" three sons"));
  stopping.stops = {"ree son"};
  const GenerateResult cut = run(stopping);
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find("ree son")));
  EXPECT_EQ(cut.finish_reason, "stop");
  EXPECT_LT(cut.ids.size(), whole.ids.size());
}

TEST_F(Local, EndOfTextStopsAndIsNotShown) {
  // The first token that the model would choose now counts as the end of the text.
  auto altered = load_demo();
  altered->eos_ids = {441};
  auto local = LocalPipeline::create(*altered, 64, interrupt_);
  GenerateRequest golden = request("Once upon a time", 10);
  const auto result = generate(**local, *altered, golden, interrupt_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ids, std::vector<std::int32_t>{441});
  EXPECT_EQ(result->finish_reason, "stop");
  golden.ignore_eos = true;
  auto again = LocalPipeline::create(*altered, 64, interrupt_);
  EXPECT_EQ(generate(**again, *altered, golden, interrupt_)->ids.size(), 10u);
}

TEST_F(Local, TheModelsEndOfTextIsKnown) {
  EXPECT_EQ(demo_->eos_ids, std::vector<std::int32_t>{1});
}

TEST_F(Local, SeedsDecideSampledText) {
  GenerateRequest sampled = request("Once upon a time", 24);
  sampled.sampling.greedy = false;
  sampled.sampling.temperature = 1.0;
  sampled.seed = 1;
  const auto first = run(sampled);
  EXPECT_EQ(run(sampled).ids, first.ids);
  sampled.seed = 2;
  EXPECT_NE(run(sampled).ids, first.ids);
}

TEST_F(Local, TheContextBoundsPromptAndOutput) {
  EXPECT_TRUE(check_prompt_length(1023, 1024).ok());
  const absl::Status status = check_prompt_length(1500, 1024);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1500 tokens"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("context is 1024"));
  EXPECT_EQ(positions_needed(1000, 500, 1024), 1023);
  EXPECT_EQ(positions_needed(5, 32, 1024), 36);

  GenerateRequest full;
  full.prompt_ids.assign(1020, 300);
  full.prompt_ids[0] = 0;
  full.max_tokens = 50;
  full.ignore_eos = true;
  auto local = pipeline(positions_needed(1020, 50, 1024));
  const auto result = generate(*local, *demo_, full, interrupt_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->ids.size(), 4u);
  EXPECT_EQ(result->finish_reason, "length");
}

TEST_F(Local, AnInterruptEndsGenerationWithWhatCame) {
  GenerateObserver observer;
  int steps = 0;
  observer.on_step = [&](std::size_t, const StepTiming& timing, double) {
    EXPECT_GT(timing.total_us, 0);
    if (++steps == 3) interrupt_.stop(2);
  };
  const auto result = run(request("Once upon a time", 30), observer);
  EXPECT_EQ(result.finish_reason, "interrupted");
  EXPECT_EQ(result.ids.size(), 3u);
}

TEST_F(Local, IdsOutsideTheVocabularyAreAnError) {
  GenerateRequest wrong;
  wrong.prompt_ids = {0, 99'999};
  wrong.max_tokens = 1;
  EXPECT_EQ(generate(*pipeline(), *demo_, wrong, interrupt_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::client
