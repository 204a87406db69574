// SPDX-License-Identifier: Apache-2.0
// Real nodes and a real client over loopback: what comes out of a ring of any length is, bit for
// bit, what one process computes.
#include <gtest/gtest.h>

#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using client::same_logits;

class Ring : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }
};

TEST_P(Ring, GoldenPromptsAreExact) {
  InProcessSwarm swarm(even_spans(8, GetParam()));
  {
    TestClient user(swarm.address());
    const auto golden = client::read_golden();
    for (const auto& prompt : golden["prompts"]) {
      const auto request = client::golden_request(prompt);
      const auto run = user.generate(request);
      ASSERT_TRUE(run.result.ok()) << run.result.status();
      EXPECT_EQ(run.route.size(), GetParam());
      EXPECT_EQ(run.reroutes, 0);
      EXPECT_EQ(run.result->ids, prompt["greedy_ids"].get<std::vector<std::int32_t>>());
      EXPECT_TRUE(same_logits(*run.result, user.generate_locally(request)));
    }
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

#ifdef SHOAL_SANITIZED
INSTANTIATE_TEST_SUITE_P(Nodes, Ring, ::testing::Values(1, 3));  // five times as slow
#else
INSTANTIATE_TEST_SUITE_P(Nodes, Ring, ::testing::Values(1, 2, 3, 8));
#endif

TEST_F(Ring, ScoresAreExactAndChunksArePipelined) {
  InProcessSwarm swarm(even_spans(8, 3));
  TestClient user(swarm.address());
  auto ids = *user.model().tokenizer->encode(client::read_heldout());
  ids.resize(1300);
  auto ring = user.open(512);
  ASSERT_TRUE(ring.ok()) << ring.status();
  const auto through_ring = client::score(**ring, user.model(), ids, 512, user.interrupt(), {});
  auto local = client::LocalPipeline::create(user.model(), 512, user.interrupt());
  const auto here = client::score(**local, user.model(), ids, 512, user.interrupt(), {});
  ASSERT_TRUE(through_ring.ok()) << through_ring.status();
  EXPECT_EQ(through_ring->targets, 1299u);
  EXPECT_EQ(through_ring->window_mean_nll, here->window_mean_nll);
  EXPECT_EQ(through_ring->mean_nll, here->mean_nll);
}

TEST_F(Ring, SampledTextIsTheSameInTheSwarmAndHere) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  client::GenerateRequest request;
  request.prompt_ids = *user.model().tokenizer->encode("The wolf said");
  request.max_tokens = 40;
  request.sampling.greedy = false;
  request.sampling.top_p = 0.9;
  request.seed = 7;
  const auto run = user.generate(request);
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.result->ids, user.generate_locally(request).ids);
}

TEST_F(Ring, APrivateSwarmSpeaksToItsMembersOnly) {
  InProcessSwarmOptions options;
  options.swarm_key = identity::generate_swarm_key();
  InProcessSwarm swarm(even_spans(8, 2), options);
  TestClient member(swarm.address(), options.swarm_key);
  const auto prompt = client::read_golden()["prompts"][0];
  EXPECT_TRUE(member.generate(client::golden_request(prompt)).result.ok());
  client::JoinOptions stranger;
  stranger.peers = {swarm.address()};
  base::StopToken interrupt;
  EXPECT_EQ(client::SwarmConnection::join(stranger, interrupt).status().code(),
            absl::StatusCode::kUnavailable);
}

// What the trace shows: every hop worked, and the parts are no more than the whole.
TEST_F(Ring, TimingsOfEveryHopArriveWhenAskedFor) {
  InProcessSwarm swarm(even_spans(8, 3));
  base::StopToken interrupt;
  const auto model = client::load_demo(1);
  client::JoinOptions join;
  join.peers = {swarm.address()};
  auto connection = client::SwarmConnection::join(join, interrupt);
  ASSERT_TRUE(connection.ok());
  client::SwarmPipelineOptions options;
  options.positions = 32;
  options.full_timings = true;
  auto ring = client::SwarmPipeline::create(*model, **connection, options, interrupt);
  ASSERT_TRUE(ring.ok()) << ring.status();
  const std::vector<std::int32_t> ids{0, 2343, 654};
  ASSERT_TRUE((*ring)->append(ids, client::RowsWanted::kLast).ok());
  const client::StepTiming& timing = (*ring)->timing();
  ASSERT_EQ(timing.hops.size(), 3u);
  double compute = 0;
  for (const auto& hop : timing.hops) {
    EXPECT_GT(hop.compute_us, 0);
    compute += hop.compute_us;
  }
  EXPECT_LT(compute, timing.total_us);
}

}  // namespace
}  // namespace shoal::tests
