// SPDX-License-Identifier: Apache-2.0
// The bundled model gives its golden ids and logits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "tests/model/engine.h"
#include "tests/model/local_model.h"
#include "tests/support/source_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using nlohmann::json;

const std::string kDirectory = SHOAL_SOURCE_FOLDER + "/models/demo";

// [[id, logit] x 5], largest first.
void expect_top5(const Rows& logits, const json& golden) {
  std::vector<std::int32_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  const auto logit = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  std::partial_sort(order.begin(), order.begin() + 5, order.end(),
                    [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  ASSERT_EQ(golden.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(logit(order[i]), golden[i][1].get<float>(), 1e-3f);
    EXPECT_NEAR(logit(golden[i][0].get<std::int32_t>()), golden[i][1].get<float>(), 1e-3f);
  }
}

void expect_golden(LocalModel& model, const json& prompt) {
  SCOPED_TRACE(prompt["prompt"].get<std::string>());
  const Ids prompt_ids = prompt["prompt_ids"].get<Ids>();
  const Ids golden_ids = prompt["greedy_ids"].get<Ids>();
  ASSERT_EQ(golden_ids.size(), 32u);
  LocalSession session = model.session(512);
  Rows logits = model.last_logits(model.run(session, 0, prompt_ids));
  expect_top5(logits, prompt["first_top5"]);
  Ids ids;
  std::int64_t position = static_cast<std::int64_t>(prompt_ids.size());
  while (true) {
    ids.push_back(argmax(logits));
    if (ids.size() == golden_ids.size()) break;
    logits = model.last_logits(model.run(session, position++, {ids.back()}));
  }
  expect_top5(logits, prompt["last_top5"]);
  EXPECT_EQ(ids, golden_ids);
}

TEST(DemoModel, GreedyIdsAndTopLogitsAreTheGoldenOnes) {
  const json golden = json::parse(tests::read_file(kDirectory + "/golden.json"));
  const std::unique_ptr<LocalModel> model = LocalModel::load(kDirectory);
  ASSERT_EQ(golden["prompts"].size(), 5u);
  for (const json& prompt : golden["prompts"]) {
    expect_golden(*model, prompt);
    if (engine_is_slow()) break;
  }
}

// Sum of the negative log likelihoods of targets[i] after row i.
double nll_sum(const Rows& logits, const Ids& targets) {
  const std::size_t vocabulary = logits.size() / targets.size();
  double sum = 0.0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::span<const float> row(logits.data() + i * vocabulary, vocabulary);
    const double largest = *std::max_element(row.begin(), row.end());
    double total = 0.0;
    for (const float logit : row) total += std::exp(logit - largest);
    sum += largest + std::log(total) - row[static_cast<std::size_t>(targets[i])];
  }
  return sum;
}

#ifdef SHOAL_SANITIZED
constexpr std::size_t kWindowsRun = 2;  // instrumented code takes tens of seconds for all
#else
constexpr std::size_t kWindowsRun = 8;
#endif

// Windows of 512 inputs, each from an empty cache: heldout.method in golden.json.
TEST(DemoModel, HeldOutPerplexityIsTheGoldenOne) {
  const json golden = json::parse(tests::read_file(kDirectory + "/golden.json"))["heldout"];
  const std::unique_ptr<LocalModel> model = LocalModel::load(kDirectory);
  const absl::StatusOr<Tokenizer> tokenizer = Tokenizer::load(kDirectory);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const absl::StatusOr<Ids> ids = tokenizer->encode(tests::read_file(kDirectory + "/heldout.txt"));
  ASSERT_TRUE(ids.ok()) << ids.status();
  ASSERT_EQ(ids->size(), golden["targets"].get<std::size_t>() + 1);

  constexpr std::size_t kWindow = 512;
  double sum = 0.0, expected_sum = 0.0;
  std::size_t targets = 0;
  for (std::size_t k = 0; k < kWindowsRun; ++k) {
    const std::size_t begin = k * kWindow;
    ASSERT_LT(begin + 1, ids->size());
    const std::size_t rows = std::min(kWindow, ids->size() - 1 - begin);
    const auto at = ids->begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = static_cast<std::ptrdiff_t>(rows);
    LocalSession session = model->session(static_cast<std::int64_t>(rows));
    const Rows logits = model->logits(model->run(session, 0, Ids(at, at + count)));
    const double window_sum = nll_sum(logits, Ids(at + 1, at + 1 + count));
    const double expected = golden["window_mean_nll"][k].get<double>();
    EXPECT_NEAR(window_sum / static_cast<double>(rows), expected, 1e-4) << "window " << k;
    sum += window_sum;
    expected_sum += expected * static_cast<double>(rows);
    targets += rows;
  }
  const bool whole = targets == golden["targets"].get<std::size_t>();
  EXPECT_TRUE(whole || kWindowsRun < 8);
  const double expected = whole ? golden["perplexity"].get<double>()
                                : std::exp(expected_sum / static_cast<double>(targets));
  EXPECT_NEAR(std::exp(sum / static_cast<double>(targets)), expected, 1e-3 * expected);
}

TEST(DemoModel, SplittingAndBatchingChangeNoBit) {
  const json golden = json::parse(tests::read_file(kDirectory + "/golden.json"));
  const std::unique_ptr<LocalModel> whole = LocalModel::load(kDirectory);
  const std::unique_ptr<LocalModel> split = LocalModel::load(kDirectory, {.cuts = {1, 3, 6}});
  std::vector<LocalSession> sessions;
  std::vector<LocalStep> steps;
  Rows alone;
  for (std::size_t i = 0; i < golden["prompts"].size(); ++i) sessions.push_back(split->session(64));
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    const Ids ids = golden["prompts"][i]["prompt_ids"].get<Ids>();
    LocalSession session = whole->session(64);
    const Rows rows = whole->run(session, 0, ids);
    alone.insert(alone.end(), rows.begin(), rows.end());
    steps.push_back({.session = &sessions[i], .start = 0, .ids = ids});
  }
  const Rows together = split->run(steps);
  EXPECT_TRUE(together == alone);
  EXPECT_TRUE(split->logits(together) == whole->logits(alone));
}

}  // namespace
}  // namespace shoal::model
