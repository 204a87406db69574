// SPDX-License-Identifier: Apache-2.0
// Long life: a node started and stopped 1,000 times, and 10,000 sessions through a ring, in one
// process, leave no memory, descriptor or thread behind.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "client/ring/ring_session.h"
#include "net/channel_pool.h"
#include "net/identity_tls.h"
#include "net/io_thread.h"
#include "tests/e2e/footprint.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

constexpr std::uint32_t kHidden = 256;  // of the demo model
constexpr Cycles kLives{.warm_up = 250, .cycles = 750, .every = 10};
constexpr Cycles kSessions{.warm_up = 2'500, .cycles = 7'500, .every = 50};
constexpr double kBytesPerLife = 100;  // that a node may leave: less than one object
constexpr double kBytesPerSession = 24;
constexpr std::size_t kMallocOverhead = 8;  // of one block

class Soak : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    net::init_transport();
    spdlog::set_level(spdlog::level::warn);
  }

  // A session through `route` that computes one row; fails the test if that goes wrong, or if the
  // row is another than the last time.
  void step(client::RingSession& session) {
    const absl::Status opened = session.open();
    ASSERT_TRUE(opened.ok()) << opened;
    const auto row = session.run(std::vector<float>(kHidden, 0.01f), 0, client::RowsWanted::kLast);
    ASSERT_TRUE(row.ok()) << row.status();
    if (first_row_.empty()) first_row_ = *row;
    ASSERT_EQ(*row, first_row_);
  }

  static client::RingOptions session_options(const node::Node& node) {
    client::RingOptions options;
    options.model = node.model_digest();
    options.hidden = kHidden;
    options.positions = 16;
    return options;
  }

  // gRPC's pool of threads swings by a few; a leak in every tenth cycle would be tens of them, and
  // of descriptors. The heap is judged without malloc's caches of threads (see main). Resident
  // memory is looked at for what malloc does not see, such as mapped files and stacks: holes in its
  // arenas may grow for long while the heap stays as it is.
  static void expect_none(const Growth& growth, double bytes_per_cycle) {
    if (HasFatalFailure()) return;
    EXPECT_LE(growth.of(&Footprint::descriptors), 2) << growth.describe();
    EXPECT_LE(growth.of(&Footprint::threads), 3) << growth.describe();
    EXPECT_LE(growth.per_cycle(&Footprint::heap_bytes), bytes_per_cycle) << growth.describe();
    EXPECT_LE(growth.of(&Footprint::resident_bytes), 4 << 20) << growth.describe();
  }

  // The heap swings by some hundred KiB, more on a busy machine: what grows once may be that, what
  // grows three times in a row is left behind.
  static Growth lasting_growth(Cycles plan, double bytes_per_cycle,
                               const std::function<void(int)>& work) {
    for (int again = 0;; ++again) {
      Growth growth = measure_growth(plan, work);
      if (again == 2 || HasFatalFailure() ||
          growth.per_cycle(&Footprint::heap_bytes) <= bytes_per_cycle) {
        return growth;
      }
      plan.warm_up = 0;
    }
  }

  base::StopToken interrupt_;
  std::vector<float> first_row_;
};

// Every other time there is a client whose session is open, with a connection of its own, when the
// node stops.
TEST_F(Soak, ANodeStartedAndStoppedAThousandTimesLeavesNothing) {
  node::NodeOptions options;
  options.model_directory = std::string(SHOAL_SOURCE_DIR) + "/models/demo";
  options.blocks = proto::Span{3, 4};
  options.listen = proto::Endpoint::v4({127, 0, 0, 1}, 0);
  options.kv_positions = 256;
  options.threads = 1;
  const auto live = [&](int cycle) {
    options.identity = identity::Identity::generate();
    auto node = node::Node::start(options);
    ASSERT_TRUE(node.ok()) << node.status();
    if (cycle % 2 == 0) return (*node)->drain_and_stop(1'000);
    net::ChannelPool channels(identity::Identity::generate(), std::nullopt);
    net::IoThread io;
    client::RingSession session({{(*node)->peer_id(), {(*node)->endpoint()}, (*node)->span()}},
                                session_options(**node), channels, io, interrupt_);
    ASSERT_NO_FATAL_FAILURE(step(session));
    node->reset();
  };
  expect_none(lasting_growth(kLives, kBytesPerLife, live), kBytesPerLife);
}

// Most sessions use a known route; every tenth one looks for the nodes and measures them first, as
// a program does.
TEST_F(Soak, TenThousandSessionsLeaveNothing) {
  InProcessSwarm swarm(even_spans(8, 3),
                       {.swarm_key = {}, .kv_positions = 256, .model_directory = {}});
  client::Route route;
  for (std::size_t i = 0; i < 3; ++i) {
    const node::Node& node = swarm.node(i);
    route.push_back({node.peer_id(), {node.endpoint()}, node.span()});
  }
  TestClient user(swarm.address());
  net::ChannelPool channels(identity::Identity::generate(), std::nullopt);
  net::IoThread io;
  const client::RingOptions options = session_options(swarm.node(0));
  const auto live = [&](int cycle) {
    if (cycle % 10 == 0) {
      auto pipeline = user.open(16);
      ASSERT_TRUE(pipeline.ok()) << pipeline.status();
      const auto row = (*pipeline)->append(std::vector<std::int32_t>{0}, client::RowsWanted::kLast);
      ASSERT_TRUE(row.ok()) << row.status();
    } else {
      client::RingSession session(route, options, channels, io, interrupt_);
      ASSERT_NO_FATAL_FAILURE(step(session));
    }
    if (cycle % 50 == 0) {
      ASSERT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
    }
  };
  expect_none(lasting_growth(kSessions, kBytesPerSession, live), kBytesPerSession);
}

// That the two tests above can fail: what is left here on purpose, beside real work, is found. One
// object of 128 bytes per life, and 32 bytes per session at any one of its four ends.
TEST_F(Soak, WhatIsLeftOnPurposeIsFound) {
  InProcessSwarm swarm(even_spans(8, 1),
                       {.swarm_key = {}, .kv_positions = 256, .model_directory = {}});
  const node::Node& node = swarm.node(0);
  net::ChannelPool channels(identity::Identity::generate(), std::nullopt);
  net::IoThread io;
  std::vector<std::unique_ptr<char[]>> left;
  std::vector<int> open;
  const auto growth = [&](Cycles plan, std::size_t bytes, int descriptors_every) {
    return measure_growth(plan, [&](int cycle) {
      client::RingSession session({{node.peer_id(), {node.endpoint()}, node.span()}},
                                  session_options(node), channels, io, interrupt_);
      ASSERT_NO_FATAL_FAILURE(step(session));
      left.push_back(std::make_unique<char[]>(bytes));
      if (cycle % descriptors_every == 0) open.push_back(dup(0));
    });
  };
  left.reserve(12'000);  // so that only what it holds grows
  const Growth small = growth(kSessions, 32 - kMallocOverhead, 100);
  EXPECT_GT(small.per_cycle(&Footprint::heap_bytes), kBytesPerSession) << small.describe();
  EXPECT_GT(small.of(&Footprint::descriptors), 2) << small.describe();
  const Growth large = growth(kLives, 128 - kMallocOverhead, 1'000'000);
  EXPECT_GT(large.per_cycle(&Footprint::heap_bytes), kBytesPerLife) << large.describe();
  for (const int descriptor : open) close(descriptor);
}

}  // namespace
}  // namespace shoal::tests

// What malloc keeps for each thread would count as in use, and swing as gRPC's threads come and go:
// so those caches are off, which only the environment of a new process can say.
int main(int argc, char** argv) {
  constexpr const char* kTunables = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
  const char* given = std::getenv("GLIBC_TUNABLES");
  if (given == nullptr || std::string_view(given) != kTunables) {
    setenv("GLIBC_TUNABLES", kTunables, 1);
    execv("/proc/self/exe", argv);
    perror("soak_test: cannot start itself anew");
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
