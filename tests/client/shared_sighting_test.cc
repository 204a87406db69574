// SPDX-License-Identifier: Apache-2.0
#include "client/ring/shared_sighting.h"

#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <thread>
#include <vector>

namespace shoal::client {
namespace {

Sighting sighting_of(std::uint32_t free_positions) {
  Candidate candidate;
  candidate.peer = proto::PeerId::from_bytes(std::string(proto::PeerId::kSize, 'a')).value();
  candidate.load.free_kv_positions = free_positions;
  Sighting sighting;
  sighting.answers.candidates.push_back(candidate);
  return sighting;
}

Route route_of(const Sighting& sighting) {
  return {{.peer = sighting.answers.candidates.front().peer, .addresses = {}, .span = {0, 8}}};
}

TEST(SharedSighting, OneLookServesAllWhoComeWithinItsLifetime) {
  SharedSighting shared([](const base::StopToken&) { return sighting_of(100); });
  const base::StopToken stop;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(shared.get(stop).ok());
  EXPECT_EQ(shared.looks(), 1u);
  std::this_thread::sleep_for(SharedSighting::kLifetime);
  ASSERT_TRUE(shared.get(stop).ok());
  EXPECT_EQ(shared.looks(), 2u);
}

TEST(SharedSighting, WhoeverComesDuringALookWaitsForIt) {
  std::promise<void> seen;
  SharedSighting shared([seen = seen.get_future().share()](const base::StopToken&) {
    seen.wait();
    return sighting_of(100);
  });
  const base::StopToken stop;
  std::vector<std::future<bool>> others;
  for (int i = 0; i < 4; ++i) {
    others.push_back(std::async(std::launch::async, [&] { return shared.get(stop).ok(); }));
  }
  while (shared.looks() == 0) std::this_thread::yield();
  seen.set_value();
  for (auto& other : others) EXPECT_TRUE(other.get());
  EXPECT_EQ(shared.looks(), 1u);
}

TEST(SharedSighting, AnErrorIsNobodyElsesAndAStopEndsTheWait) {
  int calls = 0;
  SharedSighting shared([&](const base::StopToken& stop) -> absl::StatusOr<Sighting> {
    if (++calls == 1) return absl::UnavailableError("nobody answers");
    if (stop.stopped()) return stop.status();
    return sighting_of(100);
  });
  base::StopToken stop;
  EXPECT_FALSE(shared.get(stop).ok());
  EXPECT_TRUE(shared.get(stop).ok());
  stop.stop(SIGINT);
  EXPECT_FALSE(shared.get(stop).ok());
  EXPECT_EQ(calls, 2);
}

TEST(SharedSighting, WhatOnesOwnSessionsAddIsCounted) {
  SharedSighting shared([](const base::StopToken&) { return sighting_of(100); });
  const base::StopToken stop;
  const Route route = route_of(*shared.get(stop));
  shared.add_load(route, 70);
  const proto::Load load = shared.get(stop)->answers.candidates.front().load;
  EXPECT_EQ(load.free_kv_positions, 30u);
  EXPECT_EQ(load.queue_depth, 1u);
  shared.add_load(route, 70);
  EXPECT_EQ(shared.get(stop)->answers.candidates.front().load.free_kv_positions, 0u);
  shared.forget();
  EXPECT_EQ(shared.get(stop)->answers.candidates.front().load.free_kv_positions, 100u);
  EXPECT_EQ(shared.looks(), 2u);
}

}  // namespace
}  // namespace shoal::client
