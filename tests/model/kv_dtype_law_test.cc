// SPDX-License-Identifier: Apache-2.0
// Whole models with keys and values kept narrow: the laws of docs/design.md, section 5, hold bit
// for bit within a type, and what the types cost in perplexity on the bundled model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "tests/model/engine.h"
#include "tests/model/heldout.h"
#include "tests/model/local_model.h"
#include "tests/support/source_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using kernels::KvDType;

const std::string kBundled = SHOAL_SOURCE_FOLDER + "/models/demo";

class KvLaw : public testing::TestWithParam<std::tuple<KvDType, WeightChoice, const char*>> {
 protected:
  void SetUp() override {
    directory_ =
        SHOAL_SOURCE_FOLDER + std::string("/tests/fixtures/models/") + std::get<2>(GetParam());
    ids_ = nlohmann::json::parse(tests::read_file(directory_ + "/golden.json"))["ids"].get<Ids>();
    model_ = load();
    hidden_ = model_->config().hidden;
  }
  std::unique_ptr<LocalModel> load(const std::vector<std::int64_t>& cuts = {}, int threads = 2) {
    return LocalModel::load(directory_, {.cuts = cuts,
                                         .threads = threads,
                                         .kv_dtype = std::get<0>(GetParam()),
                                         .weights = std::get<1>(GetParam())});
  }
  std::int64_t length() const { return static_cast<std::int64_t>(ids_.size()); }
  Ids slice(std::int64_t begin, std::int64_t end) const {
    return {ids_.begin() + begin, ids_.begin() + end};
  }
  Rows rows_of(const Rows& rows, std::int64_t begin, std::int64_t end) const {
    return {rows.begin() + begin * hidden_, rows.begin() + end * hidden_};
  }
  Rows prefill(LocalModel& model) const {
    LocalSession session = model.session(length());
    return model.run(session, 0, ids_);
  }

  std::string directory_;
  Ids ids_;
  std::unique_ptr<LocalModel> model_;
  std::int64_t hidden_ = 0;
};

TEST_P(KvLaw, PrefillEqualsDecodesAndAnyChunks) {
  const Rows whole = prefill(*model_);
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

TEST_P(KvLaw, SpansAndThreadsDoNotMatter) {
  const Rows whole = prefill(*model_);
  EXPECT_TRUE(prefill(*load({1}, 1)) == whole);
  EXPECT_TRUE(prefill(*load({}, 3)) == whole);
}

TEST_P(KvLaw, ABatchEqualsEachAlone) {
  const Rows whole = prefill(*model_);
  LocalSession a = model_->session(length()), b = model_->session(length()),
               c = model_->session(length());
  model_->run(a, 0, slice(0, 40));
  model_->run(b, 0, slice(0, 90));
  // A decode, a chunk in the middle and a fresh prefill together.
  const Rows rows = model_->run({{.session = &b, .start = 90, .ids = slice(90, 91)},
                                 {.session = &a, .start = 40, .ids = slice(40, 73)},
                                 {.session = &c, .start = 0, .ids = ids_}});
  EXPECT_TRUE(rows_of(rows, 0, 1) == rows_of(whole, 90, 91));
  EXPECT_TRUE(rows_of(rows, 1, 34) == rows_of(whole, 40, 73));
  EXPECT_TRUE(rows_of(rows, 34, 34 + length()) == whole);
}

// What was written before and taken back, and what pages held for others.
TEST_P(KvLaw, TruncationAndStaleMemoryLeaveNoTrace) {
  const Rows whole = prefill(*model_);
  LocalSession session = model_->session(length());
  Ids wrong = slice(0, 95);
  std::reverse(wrong.begin() + 37, wrong.end());
  model_->run(session, 0, wrong);
  EXPECT_TRUE(model_->run(session, 37, slice(37, length())) == rows_of(whole, 37, length()));
  session.leases.clear();
  model_->poison_pages();
  EXPECT_TRUE(prefill(*model_) == whole);
}

// Its own rounding is seen: no two types give the same rows.
TEST_P(KvLaw, ATypeIsAKindOfItsOwn) {
  const Rows whole = prefill(*model_);
  for (const KvDType other : kernels::kKvDTypes) {
    if (other == std::get<0>(GetParam())) continue;
    const auto model = LocalModel::load(
        directory_, {.cuts = {}, .kv_dtype = other, .weights = std::get<1>(GetParam())});
    EXPECT_FALSE(prefill(*model) == whole) << kernels::kv_dtype_name(other);
  }
}

// Heads of 16 and 8; with and without a sliding window.
std::vector<const char*> some_families() {
  if (engine_is_slow()) return {"qwen2_window"};
  return {"llama_bias", "llama_mha", "mistral_window", "qwen2_window"};
}
INSTANTIATE_TEST_SUITE_P(All, KvLaw,
                         testing::Combine(testing::Values(KvDType::kBF16, KvDType::kF16,
                                                          KvDType::kI8),
                                          testing::Values(WeightChoice::kStored, WeightChoice::kQ4),
                                          testing::ValuesIn(some_families())),
                         [](const auto& info) {
                           return std::string(kernels::kv_dtype_name(std::get<0>(info.param))) +
                                  "_" + name_of(std::get<1>(info.param)) + "_" +
                                  std::get<2>(info.param);
                         });

class KvCost : public testing::TestWithParam<KvDType> {};

// docs/design.md, section 5, has the bound: what q8, which has as many bits, may cost of the
// weights.
TEST_P(KvCost, IsLittlePerplexity) {
  for (const WeightChoice weights : {WeightChoice::kStored, WeightChoice::kQ4}) {
    const auto nats = [&](KvDType dtype) {
      return heldout_nats(
          *LocalModel::load(kBundled, {.cuts = {}, .kv_dtype = dtype, .weights = weights}),
          kBundled);
    };
    const double more = std::exp(nats(GetParam()) - nats(KvDType::kF32)) - 1;
    RecordProperty(std::string("perplexity_percent_") + name_of(weights),
                   std::to_string(100 * more));
    EXPECT_LT(std::abs(more), 0.001 * kHeldoutSlack) << name_of(weights);
    EXPECT_NE(more, 0) << name_of(weights);
  }
}

INSTANTIATE_TEST_SUITE_P(All, KvCost, testing::Values(KvDType::kBF16, KvDType::kF16, KvDType::kI8),
                         [](const auto& info) {
                           return std::string(kernels::kv_dtype_name(info.param));
                         });

}  // namespace
}  // namespace shoal::model
