// SPDX-License-Identifier: Apache-2.0
// Many sessions at one head get the bits that each would get alone.
#include "client/text/shared_ends.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/client/golden.h"

namespace shoal::client {
namespace {

TEST(SharedEnds, RowsOfManyThreadsAreThoseOfOne) {
  const auto model = load_demo(1);
  constexpr std::int32_t kThreads = 8, kTimes = 12;
  const auto rows_of = [&](std::int32_t id) { return *model->ends->embed({&id, 1}); };
  std::vector<std::vector<float>> alone;
  for (std::int32_t id = 0; id < kThreads * kTimes; ++id) {
    alone.emplace_back(model->vocabulary());
    model->ends->logits(rows_of(id), alone.back());
  }
  model->share_ends();
  std::vector<std::thread> threads;
  std::vector<int> wrong(kThreads, 0);
  for (std::int32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<float> logits(model->vocabulary());
      for (std::int32_t i = 0; i < kTimes; ++i) {
        const std::int32_t id = t * kTimes + i;
        const auto row = model->embed({&id, 1});
        model->logits(*row, logits);
        if (logits != alone[static_cast<std::size_t>(id)]) ++wrong[static_cast<std::size_t>(t)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(kThreads, 0));
}

TEST(SharedEnds, ManyRowsOfOneAreABatchOfTheirOwn) {
  const auto model = load_demo(1);
  std::vector<std::int32_t> ids(100);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  const auto rows = *model->ends->embed(ids);
  std::vector<float> alone(ids.size() * model->vocabulary()), shared(alone.size());
  model->ends->logits(rows, alone);
  model->share_ends();
  model->logits(*model->embed(ids), shared);
  EXPECT_EQ(alone, shared);
}

}  // namespace
}  // namespace shoal::client
