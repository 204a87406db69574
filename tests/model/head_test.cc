// SPDX-License-Identifier: Apache-2.0
// The LM head in q8: what it costs in perplexity, and that no bit depends on how it was made.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/stop_token.h"
#include "model/tokenizer.h"
#include "tests/model/local_model.h"
#include "tests/support/resident_memory.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

const std::string kHeadDemo = SHOAL_SOURCE_DIR "/models/demo";

#ifdef SHOAL_SANITIZED
constexpr std::size_t kHeadWindows = 1;  // instrumented code takes tens of seconds for all
#else
constexpr std::size_t kHeadWindows = 8;
#endif

// Negative log likelihoods of the held-out text, with both heads, of the same hidden rows.
TEST(Head, Q8CostsLittlePerplexity) {
  const Ids ids = Tokenizer::load(kHeadDemo)
                      .value()
                      .encode(tests::read_file(kHeadDemo + "/heldout.txt"))
                      .value();
  const std::unique_ptr<LocalModel> model = LocalModel::load(kHeadDemo);
  constexpr std::size_t kWindow = 512;
  std::vector<Rows> windows;
  for (std::size_t k = 0; k < kHeadWindows; ++k) {
    const std::size_t begin = k * kWindow, end = std::min(begin + kWindow, ids.size() - 1);
    LocalSession session = model->session(static_cast<std::int64_t>(end - begin));
    windows.push_back(model->run(session, 0,
                                 Ids(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                     ids.begin() + static_cast<std::ptrdiff_t>(end))));
  }
  const auto vocabulary = static_cast<std::size_t>(model->config().vocabulary);
  const auto nats = [&] {
    double sum = 0;
    std::size_t target = 0;
    for (const Rows& rows : windows) {
      const Rows logits = model->logits(rows);
      for (std::size_t at = 0; at < logits.size(); at += vocabulary) {
        double total = 0;
        for (std::size_t v = 0; v < vocabulary; ++v) total += std::exp(double{logits[at + v]});
        sum += std::log(total) - logits[at + static_cast<std::size_t>(ids[++target])];
      }
    }
    return sum / static_cast<double>(target);
  };
  const double stored = nats();
  ASSERT_TRUE(model->ends().pack_head(model->checkpoint(), WeightChoice::kQ8, {}).ok());
  const double more = std::exp(nats() - stored) - 1;
  RecordProperty("perplexity_percent", std::to_string(100 * more));
  EXPECT_LT(std::abs(more), kHeadWindows == 8 ? 0.001 : 0.003);
  EXPECT_NE(more, 0);
}

TEST(Head, PartsRowsAndThreadsChangeNoBit) {
  for (const std::string& directory :
       {kHeadDemo, SHOAL_SOURCE_DIR "/tests/fixtures/models/" + std::string("llama_bias")}) {
    const std::unique_ptr<LocalModel> whole =
        LocalModel::load(directory, {.cuts = {}, .threads = 1});
    const std::unique_ptr<LocalModel> parts =
        LocalModel::load(directory, {.cuts = {}, .threads = 3});
    const auto hidden = static_cast<std::size_t>(whole->config().hidden);
    Rows rows(5 * hidden);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = std::sin(static_cast<float>(i * i));
    const Rows stored = whole->logits(rows);
    ASSERT_TRUE(whole->ends().pack_head(whole->checkpoint(), WeightChoice::kQ8, {}).ok());
    std::vector<std::uint64_t> progress;
    const auto note = [&](std::uint64_t done, std::uint64_t) { progress.push_back(done); };
    ASSERT_TRUE(parts->ends()
                    .pack_head(parts->checkpoint(), WeightChoice::kQ8, {.progress = note},
                               static_cast<std::int64_t>(hidden) * 40)
                    .ok());
    EXPECT_GT(progress.size(), 3u);
    EXPECT_EQ(progress.front(), 0u);
    EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
    const Rows packed = whole->logits(rows);
    EXPECT_FALSE(packed == stored);
    EXPECT_TRUE(parts->logits(rows) == packed) << directory;
    EXPECT_TRUE(Rows(packed.end() - whole->config().vocabulary, packed.end()) ==
                parts->last_logits(rows));
    EXPECT_EQ(whole->ends().head(), WeightChoice::kQ8);
  }
}

TEST(Head, WhatWasReadOfTheFileDoesNotStayInMemory) {
  const std::unique_ptr<LocalModel> model = LocalModel::load(kHeadDemo);
  const void* file = model->checkpoint().tensors().begin()->second.data;
  const Rows row(static_cast<std::size_t>(model->config().hidden), 0.5f);
  model->logits(row);
  const std::int64_t stored = tests::resident_kib(file);
  ASSERT_TRUE(model->ends().pack_head(model->checkpoint(), WeightChoice::kQ8, {}).ok());
  model->logits(row);
  EXPECT_LT(4 * tests::resident_kib(file), stored);
}

TEST(Head, AStopLeavesItAsItWas) {
  const std::unique_ptr<LocalModel> model = LocalModel::load(kHeadDemo);
  const Rows row(static_cast<std::size_t>(model->config().hidden), 0.5f);
  const Rows before = model->logits(row);
  base::StopToken stop;
  stop.stop(2);
  EXPECT_EQ(model->ends()
                .pack_head(model->checkpoint(), WeightChoice::kQ8, {.progress = {}, .stop = &stop})
                .code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(model->ends().head(), WeightChoice::kStored);
  EXPECT_TRUE(model->logits(row) == before);
}

}  // namespace
}  // namespace shoal::model
