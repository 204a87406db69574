// SPDX-License-Identifier: Apache-2.0
// Work posted to the net thread runs there, in order, and nothing runs after the end.
#include "net/io_thread.h"

#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <set>
#include <vector>

namespace shoal::net {
namespace {

TEST(IoThread, RunsWorkInOrderOnOneOtherThread) {
  IoThread io;
  std::vector<int> order;
  std::set<std::thread::id> threads;
  for (int i = 0; i < 100; ++i) {
    io.post([&, i] {
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    });
  }
  io.run_and_wait([] {});
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(IoThread, StaysAliveWithoutWorkAndRunsTimers) {
  IoThread io;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  boost::asio::steady_timer timer(io.context(), std::chrono::milliseconds(1));
  std::atomic<bool> fired = false;
  timer.async_wait([&](boost::system::error_code) { fired = true; });
  for (int i = 0; i < 1000 && !fired; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(fired);
}

TEST(IoThread, EndsInTheMiddleOfWork) {
  for (int round = 0; round < 100; ++round) {
    auto shared = std::make_shared<int>(0);
    {
      IoThread io;
      for (int i = 0; i < 50; ++i) io.post([shared] { ++*shared; });
    }
    EXPECT_EQ(shared.use_count(), 1);  // what did not run is destroyed
  }
}

TEST(IoThreadDeathTest, WaitingForItselfIsABug) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        IoThread io;
        io.run_and_wait([&] { io.run_and_wait([] {}); });
      },
      "would wait for itself");
}

}  // namespace
}  // namespace shoal::net
