// SPDX-License-Identifier: Apache-2.0
// The completer: in order, bounded, and nothing is told after stop().
#include "node/device/completer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <string>

namespace shoal::node {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

std::vector<Completion> batch(std::size_t floats, StepDone done) {
  std::vector<Completion> result(1);
  result[0].output.x.resize(floats);
  result[0].done = std::move(done);
  return result;
}

// What happened, in order, from any thread.
class Events {
 public:
  void add(const std::string& event) {
    const base::MutexLock lock(mutex_);
    events_ += event + " ";
  }
  std::string all() {
    const base::MutexLock lock(mutex_);
    return events_;
  }

 private:
  base::Mutex mutex_;
  std::string events_ ABSL_GUARDED_BY(mutex_);
};

TEST(Completer, WhoPutsTooMuchWaitsUntilThereIsRoom) {
  Completer completer(4096);
  Events events;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  completer.put(batch(512, [&](StepOutput) {
    EXPECT_EQ(gone.wait_for(kPatience), std::future_status::ready);
    events.add("first");
  }));
  completer.put(batch(256, [&](StepOutput) { events.add("second"); }));  // there is room for it
  std::promise<void> third;
  std::thread putter([&] {
    completer.put(batch(2048, [&](StepOutput) {
      events.add("third");
      third.set_value();
    }));
    events.add("put");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // time to be wrong in
  EXPECT_EQ(events.all(), "");
  go.set_value();
  putter.join();
  ASSERT_EQ(third.get_future().wait_for(kPatience), std::future_status::ready);
  const std::string all = events.all();
  EXPECT_EQ(all.substr(0, 13), "first second ") << all;
}

TEST(Completer, WhatWaitsWhenItStopsIsNeverTold) {
  std::promise<void> go;
  std::promise<void> began;
  std::atomic<int> told = 0;
  {
    Completer completer(1024);
    completer.put(batch(1, [&](StepOutput) {
      began.set_value();
      EXPECT_EQ(go.get_future().wait_for(kPatience), std::future_status::ready);
      ++told;
    }));
    ASSERT_EQ(began.get_future().wait_for(kPatience), std::future_status::ready);
    const auto held = std::make_shared<int>();
    completer.put(batch(1, [&, held](StepOutput) { ++told; }));
    std::thread putter([&] { completer.put(batch(1000, [&](StepOutput) { ++told; })); });
    completer.stop();
    putter.join();  // who waits for room need not wait for what is being told
    EXPECT_EQ(held.use_count(), 1) << "dropped at once";
    go.set_value();
  }
  EXPECT_EQ(told, 1);
}

TEST(Completer, WhoIsIdleTellsASmallBatchItself) {
  Completer completer;
  std::thread::id teller;
  completer.put_idle(batch(64, [&](StepOutput) { teller = std::this_thread::get_id(); }));
  EXPECT_EQ(teller, std::this_thread::get_id()) << "told before put_idle returned";

  std::promise<std::thread::id> large;
  completer.put_idle(batch(kMostToldAtOnce / sizeof(float),
                           [&](StepOutput) { large.set_value(std::this_thread::get_id()); }));
  std::future<std::thread::id> of_large = large.get_future();
  ASSERT_EQ(of_large.wait_for(kPatience), std::future_status::ready);
  EXPECT_NE(of_large.get(), std::this_thread::get_id());
}

TEST(Completer, WhoIsIdleDoesNotOvertakeWhatWaits) {
  Completer completer;
  Events events;
  std::promise<void> go;
  std::promise<void> told;
  completer.put(batch(1, [&](StepOutput) {
    EXPECT_EQ(go.get_future().wait_for(kPatience), std::future_status::ready);
    events.add("first");
  }));
  completer.put_idle(batch(1, [&](StepOutput) {
    events.add("second");
    told.set_value();
  }));
  EXPECT_EQ(events.all(), "");
  go.set_value();
  ASSERT_EQ(told.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(events.all(), "first second ");
}

TEST(Completer, NothingIsToldAfterItStopped) {
  Completer completer;
  completer.stop();
  bool told = false;
  completer.put_idle(batch(1, [&](StepOutput) { told = true; }));
  completer.put(batch(1, [&](StepOutput) { told = true; }));
  EXPECT_FALSE(told);
}

// Time in its queue is the session's time in this hop's queues.
TEST(Completer, TheWaitCountsAsQueueing) {
  Completer completer;
  std::promise<void> done;
  std::uint32_t queue_us = 0;
  completer.put(
      batch(1, [](StepOutput) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }));
  auto second = batch(1, [&](StepOutput output) {
    queue_us = output.queue_us;
    done.set_value();
  });
  second[0].output.queue_us = 7;
  completer.put(std::move(second));
  ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_GE(queue_us, 7u + 1'000u);
}

}  // namespace
}  // namespace shoal::node
