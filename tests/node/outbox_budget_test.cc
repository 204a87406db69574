// SPDX-License-Identifier: Apache-2.0
// What waits to be sent is counted to the byte, and it is the stream with most that ends, not the
// one that asks last.
#include "node/serve/outbox_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace shoal::node {
namespace {

proto::PeerId peer(int id) {
  proto::PeerId result;
  result.bytes[0] = static_cast<std::uint8_t>(id);
  return result;
}

struct Stream final : Outlet {
  Stream(OutboxBudget& budget, int owner) : account(budget, peer(owner)) {}
  void overflow(const std::string&) override {
    ++ended;
    account.release(account.bytes());
  }
  OutboxBudget::Account account;
  std::atomic<int> ended = 0;
};

std::shared_ptr<Stream> stream(OutboxBudget& budget, int owner) {
  auto result = std::make_shared<Stream>(budget, owner);
  result->account.set_outlet(result);
  return result;
}

TEST(OutboxBudget, TheLargestStreamOfTheLargestOwnerEnds) {
  OutboxBudget budget({.total = 100, .owner = 90, .stream = 60});
  const auto small = stream(budget, 1);
  const auto large = stream(budget, 2);
  const auto other = stream(budget, 2);
  EXPECT_EQ(large->account.add(50), nullptr);
  EXPECT_EQ(other->account.add(30), nullptr);
  EXPECT_EQ(small->account.add(20), nullptr);
  EXPECT_EQ(small->account.add(1), large) << "not the one that came last";
  EXPECT_EQ(budget.stats().bytes, 101u);
  EXPECT_EQ(small->account.add(1), nullptr) << "it ends already: nobody else has to";
  large->overflow("");
  EXPECT_EQ(budget.stats().bytes, 52u);
  EXPECT_EQ(budget.stats().ended, 1u);
}

TEST(OutboxBudget, OneOwnerAndOneStreamHaveLimitsOfTheirOwn) {
  OutboxBudget budget({.total = 1000, .owner = 90, .stream = 60});
  const auto one = stream(budget, 1);
  const auto two = stream(budget, 1);
  EXPECT_EQ(one->account.add(61), one);
  EXPECT_EQ(two->account.add(50), nullptr) << "what ends does not count against others";
  const auto three = stream(budget, 1);
  EXPECT_EQ(three->account.add(45), two);
}

TEST(OutboxBudget, NothingIsLeftOfAStreamThatGoes) {
  OutboxBudget budget;
  {
    const auto one = stream(budget, 1);
    EXPECT_EQ(one->account.add(1000), nullptr);
    one->account.add_unjudged(5);
    EXPECT_EQ(budget.stats().bytes, 1005u);
  }
  EXPECT_EQ(budget.stats().bytes, 0u);
}

TEST(OutboxBudget, ManyThreadsStayWithinItsBounds) {
  constexpr int kThreads = 4;
  constexpr std::size_t kMostAdded = 699;
  OutboxBudget budget({.total = 10'000, .owner = 8'000, .stream = 6'000});
  // Whoever holds it alone sees no stream that is named and not yet ended, nor one half gone.
  std::shared_mutex adding;
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&budget, &adding, id] {
      std::mt19937 random(id);
      for (int round = 0; round < 200; ++round) {
        auto own = stream(budget, id);
        for (int i = 0; i < 50; ++i) {
          const std::size_t bytes = random() % (kMostAdded + 1);
          {
            const std::shared_lock lock(adding);
            if (const auto victim = own->account.add(bytes)) victim->overflow("");
          }
          if (own->ended > 0) break;
          if (i % 8 != 0) continue;
          const std::unique_lock lock(adding);
          // What a stream adds while it is being ended stays until it is gone: once per thread.
          EXPECT_LE(budget.stats().bytes, 10'000u + kThreads * kMostAdded);
        }
        const std::shared_lock lock(adding);
        own.reset();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.stats().bytes, 0u);
}

}  // namespace
}  // namespace shoal::node
