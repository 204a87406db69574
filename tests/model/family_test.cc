// SPDX-License-Identifier: Apache-2.0
// Every family and RoPE variant against the reference implementation
// (scripts/fixtures/make_models.py), and the laws of docs/design.md, section 5, bit for bit on each
// of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/model/engine.h"
#include "tests/model/fixture_models.h"
#include "tests/model/local_model.h"
#include "tests/support/source_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

// Both sides compute in float32 in different orders. Sums of up to 64 products, some 30 of them one
// after another, give about 30 * sqrt(64) * 6e-8 = 1.4e-5 of the largest value; the reference
// rounds the angles of RoPE (up to 99 radians) to float32, 4e-6 radians each. Features that are got
// wrong change the logits by more than 5e-2 (the script sees to it).
constexpr double kBound = 5e-5;

Rows part(const Rows& rows, std::int64_t begin, std::int64_t end, std::int64_t width) {
  return {rows.begin() + begin * width, rows.begin() + end * width};
}

class Family : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = SHOAL_SOURCE_FOLDER + std::string("/tests/fixtures/models/") + GetParam();
    golden_ = nlohmann::json::parse(tests::read_file(directory_ + "/golden.json"));
    ids_ = golden_["ids"].get<Ids>();
    model_ = LocalModel::load(directory_);
    hidden_ = model_->config().hidden;
  }
  Ids slice(std::int64_t begin, std::int64_t end) const {
    return {ids_.begin() + begin, ids_.begin() + end};
  }
  std::int64_t length() const { return static_cast<std::int64_t>(ids_.size()); }
  // All rows in one prefill of a fresh session.
  Rows prefill() {
    LocalSession session = model_->session(length());
    return model_->run(session, 0, ids_);
  }

  std::string directory_;
  nlohmann::json golden_;
  Ids ids_;
  std::unique_ptr<LocalModel> model_;
  std::int64_t hidden_ = 0;
};

TEST_P(Family, GivesTheLogitsOfTheReference) {
  const Rows logits = model_->logits(prefill());
  const std::int64_t vocabulary = model_->config().vocabulary;
  ASSERT_GE(golden_["positions"].size(), 8u);
  double worst = 0.0, largest = 0.0;
  for (std::size_t i = 0; i < golden_["positions"].size(); ++i) {
    const std::int64_t position = golden_["positions"][i].get<std::int64_t>();
    const std::vector<double> expected = golden_["logits"][i].get<std::vector<double>>();
    ASSERT_EQ(static_cast<std::int64_t>(expected.size()), vocabulary);
    for (std::int64_t v = 0; v < vocabulary; ++v) {
      const double got = logits[static_cast<std::size_t>(position * vocabulary + v)];
      ASSERT_TRUE(std::isfinite(got));
      worst = std::max(worst, std::abs(got - expected[static_cast<std::size_t>(v)]));
      largest = std::max(largest, std::abs(expected[static_cast<std::size_t>(v)]));
    }
  }
  RecordProperty("relative_error", std::to_string(worst / largest));
  EXPECT_LE(worst, kBound * largest) << "relative error " << worst / largest;
}

TEST_P(Family, PrefillEqualsDecodesAndAnyChunks) {
  const Rows whole = prefill();
  for (const std::vector<std::int64_t>& sizes :
       {std::vector<std::int64_t>{1}, {7}, {32}, {33}, {50, 1, 1, 31}}) {
    LocalSession session = model_->session(length());
    Rows chunked;
    std::size_t next = 0;
    for (std::int64_t at = 0; at < length();) {
      const std::int64_t end = std::min(length(), at + sizes[next++ % sizes.size()]);
      const Rows rows = model_->run(session, at, slice(at, end));
      chunked.insert(chunked.end(), rows.begin(), rows.end());
      at = end;
    }
    EXPECT_TRUE(chunked == whole) << "chunks of " << sizes[0];
  }
}

TEST_P(Family, OneSpanEqualsSeveral) {
  const Rows whole = prefill();
  std::vector<std::int64_t> cuts;
  for (std::int64_t b = 1; b < model_->config().block_count; ++b) cuts.push_back(b);
  const std::unique_ptr<LocalModel> split = LocalModel::load(directory_, {.cuts = cuts});
  LocalSession session = split->session(length());
  EXPECT_TRUE(split->run(session, 0, ids_) == whole);
}

TEST_P(Family, ThreadsDoNotMatter) {
  const Rows whole = prefill();
  for (const int threads : {1, 3}) {
    const std::unique_ptr<LocalModel> other =
        LocalModel::load(directory_, {.cuts = {}, .threads = threads});
    LocalSession session = other->session(length());
    EXPECT_TRUE(other->run(session, 0, ids_) == whole) << threads << " threads";
  }
}

TEST_P(Family, ABatchEqualsEachAlone) {
  const Rows whole = prefill();
  LocalSession a = model_->session(length()), b = model_->session(length()),
               c = model_->session(length());
  model_->run(a, 0, slice(0, 40));
  model_->run(b, 0, slice(0, 90));
  // A decode, a chunk in the middle and a fresh prefill together.
  const Rows rows = model_->run({{.session = &b, .start = 90, .ids = slice(90, 91)},
                                 {.session = &a, .start = 40, .ids = slice(40, 73)},
                                 {.session = &c, .start = 0, .ids = slice(0, 100)}});
  EXPECT_TRUE(part(rows, 0, 1, hidden_) == part(whole, 90, 91, hidden_));
  EXPECT_TRUE(part(rows, 1, 34, hidden_) == part(whole, 40, 73, hidden_));
  EXPECT_TRUE(part(rows, 34, 134, hidden_) == whole);
}

TEST_P(Family, LogitsOfARowDependOnThatRowOnly) {
  const Rows whole = prefill();
  const Rows logits = model_->logits(whole);
  const std::int64_t vocabulary = model_->config().vocabulary;
  for (const std::int64_t row : {0, 5, 99}) {
    EXPECT_TRUE(model_->logits(part(whole, row, row + 1, hidden_)) ==
                part(logits, row, row + 1, vocabulary));
  }
}

TEST_P(Family, TruncationLeavesNoTrace) {
  const Rows whole = prefill();
  LocalSession session = model_->session(length());
  Ids wrong = slice(0, 95);
  std::reverse(wrong.begin() + 37, wrong.end());
  model_->run(session, 0, wrong);
  const Rows tail = model_->run(session, 37, slice(37, length()));
  EXPECT_TRUE(tail == part(whole, 37, length(), hidden_));
  EXPECT_TRUE(model_->run(session, 0, ids_) == whole);  // a replay from the beginning
}

TEST_P(Family, StaleMemoryHasNoEffect) {
  const Rows whole = prefill();
  model_->poison_pages();
  EXPECT_TRUE(prefill() == whole);
}

// On a slow engine one of each mathematics: device_law_test.cc has them all.
std::vector<const char*> families() {
  if (engine_is_slow()) return {"llama_bias", "qwen2_window", "qwen3_bias"};
  return kFixtureModels;
}
INSTANTIATE_TEST_SUITE_P(All, Family, testing::ValuesIn(families()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace shoal::model
