// SPDX-License-Identifier: Apache-2.0
// Swarms of CPUs and GPUs (emulated, with the kernels of real ones): a session gives the same bits
// whoever computes a span, and goes from one to the other in the middle of a text.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using model::WeightChoice;

using kernels::cuda::emulator::MmaRule;

// GPUs of a node's own: work is done when somebody waits for it, copies as late as may be.
node::OpenDevices gpus(std::vector<std::uint64_t> seeds, MmaRule rule = MmaRule::kAmpere) {
  return [seeds = std::move(seeds), rule]() -> absl::StatusOr<node::ChosenDevices> {
    namespace cuda = kernels::cuda;
    node::ChosenDevices chosen{{}, "emulated GPUs"};
    for (const std::uint64_t seed : seeds) {
      cuda::CudaExecutor::Opened opened = cuda::CudaExecutor::open(
          cuda::emulator::module({.machine = {.seed = seed, .late_copies = true, .mma_rule = rule},
                                  .late_work = true}),
          0);
      if (opened.executor == nullptr) return absl::UnavailableError(opened.why);
      chosen.executors.push_back(std::move(opened.executor));
    }
    return chosen;
  };
}
node::OpenDevices gpu(std::uint64_t seed, MmaRule rule = MmaRule::kAmpere) {
  return gpus({seed}, rule);
}

class Mixed : public ::testing::TestWithParam<WeightChoice> {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  static client::GenerateRequest request(std::int64_t tokens) {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = std::min(result.max_tokens, tokens);
    return result;
  }
};

TEST_P(Mixed, ANodeOfTwoGpusIsOneNode) {
  InProcessSwarm swarm({});
  swarm.add({0, 7}, GetParam(), gpus({1, 2}));
  swarm.add({7, 8}, GetParam());
  TestClient user(swarm.address());
  const auto run = user.generate(request(24));
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.route.size(), 2u);
  EXPECT_TRUE(run.exact);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request(24), GetParam())));
}

TEST_P(Mixed, ARingOfCpusAndGpusIsExact) {
  InProcessSwarm swarm({});
  swarm.add({0, 3}, GetParam(), gpu(1));
  swarm.add({3, 6}, GetParam());
  swarm.add({6, 8}, GetParam(), gpu(2));
  TestClient user(swarm.address());
  const auto run = user.generate(request(64));
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.route.size(), 3u);
  EXPECT_TRUE(run.exact);
  const auto expected = user.generate_locally(request(64), GetParam());
  EXPECT_EQ(run.result->ids, expected.ids);
  EXPECT_TRUE(client::same_logits(*run.result, expected));
  if (GetParam() == WeightChoice::kStored) {
    auto golden =
        client::read_golden()["prompts"][0]["greedy_ids"].get<std::vector<std::int32_t>>();
    golden.resize(std::min<std::size_t>(golden.size(), 64));
    EXPECT_EQ(run.result->ids, golden);
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

// Both ways: to the GPU when the CPU goes, and back.
TEST_P(Mixed, AGpuTakesOverFromACpuAndBack) {
  InProcessSwarm swarm({{7, 8}});  // it stays: whom the client asks for the others
  const std::size_t cpu = swarm.add({0, 8}, GetParam());
  TestClient user(swarm.address());
  std::size_t emulated = 0;
  const auto run = user.generate(request(48), [&](client::Pipeline&, std::size_t tokens) {
    if (tokens == 12) {
      emulated = swarm.add({0, 8}, GetParam(), gpu(3));
      swarm.stop(cpu);
    } else if (tokens == 30) {
      swarm.add({0, 8}, GetParam());
      swarm.stop(emulated);
    }
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 2);
  EXPECT_TRUE(run.exact);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request(48), GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Mixed,
                         ::testing::Values(WeightChoice::kStored, WeightChoice::kQ8,
                                           WeightChoice::kQ4),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// Float tensor cores, which compute in another kind: exact as long as no block changes it.
class MixedMma : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  static client::GenerateRequest request(std::int64_t tokens) {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = std::min(result.max_tokens, tokens);
    return result;
  }
  static constexpr proto::Numerics kExact{proto::Compute::kF32, proto::WeightFormat::kBf16,
                                          proto::KvFormat::kF32};
  static proto::Numerics mma(proto::Compute kind) {
    return {kind, proto::WeightFormat::kBf16, proto::KvFormat::kF32};
  }
};

TEST_F(MixedMma, BesideCpusASessionIsExactAndANodeOfTheSameKindTakesOver) {
  InProcessSwarm swarm({{0, 3}, {6, 8}});
  const std::size_t first = swarm.add({3, 6}, WeightChoice::kMma, gpu(1));
  TestClient user(swarm.address());
  const auto alone = user.generate(request(20));
  ASSERT_TRUE(alone.result.ok()) << alone.result.status();
  ASSERT_EQ(alone.route.size(), 3u);
  EXPECT_EQ(alone.route[0].numerics, kExact);
  EXPECT_EQ(alone.route[1].numerics, mma(proto::Compute::kMma8));
  EXPECT_TRUE(alone.exact);
  EXPECT_FALSE(client::same_logits(*alone.result, user.generate_locally(request(20))));

  const auto run = user.generate(request(20), [&](client::Pipeline&, std::size_t tokens) {
    if (tokens != 8) return;
    swarm.add({3, 6}, WeightChoice::kMma, gpu(2));
    swarm.stop(first);
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 1);
  EXPECT_TRUE(run.exact);
  EXPECT_TRUE(client::same_logits(*run.result, *alone.result));
}

// From mma8 to mma9, and from there to the exact kind of the CPU.
TEST_F(MixedMma, ASessionWhoseBlocksChangeTheirKindIsNotExact) {
  InProcessSwarm swarm({{0, 5}, {7, 8}});
  std::size_t serving = swarm.add({5, 7}, WeightChoice::kMma, gpu(1));
  TestClient user(swarm.address());
  for (const auto& [rule, kind] : {std::pair{MmaRule::kHopper, proto::Compute::kMma9},
                                   {MmaRule::kOrdered, proto::Compute::kF32}}) {
    const auto run = user.generate(
        request(20), [&, rule = rule](client::Pipeline& pipeline, std::size_t tokens) {
          if (tokens == 7) {
            EXPECT_TRUE(pipeline.exact());
            const std::size_t other = rule == MmaRule::kHopper
                                          ? swarm.add({5, 7}, WeightChoice::kMma, gpu(2, rule))
                                          : swarm.add({5, 7});
            swarm.stop(serving);
            serving = other;
          }
        });
    ASSERT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_EQ(run.reroutes, 1);
    EXPECT_FALSE(run.exact);
    EXPECT_EQ(run.route[1].numerics, mma(kind));
  }
}

}  // namespace
}  // namespace shoal::tests
