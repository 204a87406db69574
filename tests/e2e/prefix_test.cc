// SPDX-License-Identifier: Apache-2.0
// A text that begins as an earlier one did begins behind what all its hops still have of that, and
// is, bit for bit, what it would have been.
#include <gtest/gtest.h>

#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using client::same_logits;
using model::WeightChoice;

class Prefix : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  // The first tokens of the held-out text.
  static client::GenerateRequest request(TestClient& user, std::size_t prompt,
                                         std::int64_t tokens = 6) {
    client::GenerateRequest result;
    result.prompt_ids = *user.model().tokenizer->encode(client::read_heldout().substr(0, 6'000));
    result.prompt_ids.resize(prompt);
    result.max_tokens = tokens;
    result.top_logits = 5;
    result.ignore_eos = true;
    return result;
  }
  // Generates, and expects that so many positions were reused and that nothing else shows it.
  static TestClient::Run expect_reuse(TestClient& user, const client::GenerateRequest& request,
                                      std::int64_t reused,
                                      WeightChoice weights = WeightChoice::kStored) {
    auto run = user.generate(request);
    EXPECT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_EQ(run.reused, reused);
    if (run.result.ok()) {
      const auto alone = user.generate_locally(request, weights);
      EXPECT_EQ(run.result->ids, alone.ids);
      EXPECT_TRUE(same_logits(*run.result, alone));
    }
    return run;
  }
};

TEST_F(Prefix, ASecondTextBeginsBehindTheFirst) {
  for (const std::uint32_t hops : {1u, 3u}) {
    InProcessSwarm swarm(even_spans(8, hops));
    TestClient user(swarm.address());
    user.salt = client::prefix_salt_named("us");
    expect_reuse(user, request(user, 200), 0);
    expect_reuse(user, request(user, 200), 192);
    expect_reuse(user, request(user, 193), 192);
    expect_reuse(user, request(user, 192), 160);  // one row is computed in any case
    expect_reuse(user, request(user, 70), 64);
    expect_reuse(user, request(user, 20), 0);
    expect_reuse(user, request(user, 300), 192);
    expect_reuse(user, request(user, 300), 288);
    auto other = request(user, 200);
    ++other.prompt_ids[100];
    expect_reuse(user, other, 96);
    EXPECT_GT(swarm.node(0).stats().reused_positions, 900u);
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
  }
}

TEST_F(Prefix, TheNextTurnFindsWhatWasGenerated) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  auto turn = request(user, 50, 60);
  const auto first = expect_reuse(user, turn, 0);
  turn.prompt_ids.insert(turn.prompt_ids.end(), first.result->ids.begin(), first.result->ids.end());
  turn.prompt_ids.insert(turn.prompt_ids.end(), {5, 6, 7});
  turn.max_tokens = 5;
  // 110 tokens of which the last was never computed.
  expect_reuse(user, turn, 96);
}

TEST_F(Prefix, WithoutASaltOrWithAnotherNothingIsFound) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address()), stranger(swarm.address());
  user.salt = client::prefix_salt_named("us");
  expect_reuse(user, request(user, 100), 0);
  const auto kept = swarm.node(0).stats().kept_pages;
  EXPECT_EQ(kept, 3);
  expect_reuse(stranger, request(stranger, 100), 0);
  EXPECT_EQ(swarm.node(0).stats().kept_pages, kept) << "it asked for nothing";
  stranger.salt = client::prefix_salt_named("them");
  expect_reuse(stranger, request(stranger, 100), 0);
  stranger.salt = client::prefix_salt_named("us");
  expect_reuse(stranger, request(stranger, 100), 96);
}

// Blocks 4 to 7 are the same node's both times; what comes into them is not.
TEST_F(Prefix, OtherNumericsBeforeAHopAreAnotherPrefix) {
  InProcessSwarm swarm({{4, 8}});
  const std::size_t stored = swarm.add({0, 4});
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  expect_reuse(user, request(user, 100), 0);
  expect_reuse(user, request(user, 100), 96);
  swarm.stop(stored);
  swarm.add({0, 4}, WeightChoice::kQ4);
  TestClient later(swarm.address());
  later.salt = user.salt;
  auto run = later.generate(request(later, 100));
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reused, 0);
  const auto computed = swarm.node(0).stats().reused_positions;
  TestClient plain(swarm.address());
  const auto expected = plain.generate(request(plain, 100));
  ASSERT_TRUE(expected.result.ok());
  EXPECT_TRUE(same_logits(*run.result, *expected.result));
  const auto again = later.generate(request(later, 100));
  ASSERT_TRUE(again.result.ok());
  EXPECT_EQ(again.reused, 96);
  EXPECT_TRUE(same_logits(*again.result, *expected.result));
  EXPECT_EQ(swarm.node(0).stats().reused_positions, computed + 96);
}

TEST_F(Prefix, QuantizedBlocksReuseExactly) {
  InProcessSwarm swarm({});
  swarm.add({0, 5}, WeightChoice::kQ4);
  swarm.add({5, 8}, WeightChoice::kQ4);
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  expect_reuse(user, request(user, 150), 0, WeightChoice::kQ4);
  expect_reuse(user, request(user, 150), 128, WeightChoice::kQ4);
}

// The first hop dies: the one that takes its place has nothing. Then there are that one and another
// new one, and the one in use dies: whichever it was, it or the replay began behind what is kept.
TEST_F(Prefix, AFailoverIsExact) {
  InProcessSwarm swarm({{4, 8}});
  const std::size_t used = swarm.add({0, 4});
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  expect_reuse(user, request(user, 200), 0);
  const auto asked = request(user, 200, 40);
  const auto alone = user.generate_locally(asked);
  for (const bool again : {false, true}) {
    if (again) swarm.add({0, 4});
    bool began_behind = true;
    const auto run = user.generate(asked, [&](client::Pipeline& pipeline, std::size_t tokens) {
      if (tokens != 10) return;
      began_behind = pipeline.reused_positions() == 192;
      EXPECT_TRUE(began_behind || pipeline.reused_positions() == 0);
      if (!again) swarm.add({0, 4});
      swarm.stop(again ? swarm.index_of(pipeline.route()[0].peer) : used);
    });
    ASSERT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_EQ(run.reroutes, 1);
    EXPECT_EQ(run.reused, 192);
    EXPECT_TRUE(began_behind || again);
    EXPECT_TRUE(same_logits(*run.result, alone));
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(Prefix, ScoresComputeAllRows) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  const auto ids = request(user, 200).prompt_ids;
  expect_reuse(user, request(user, 200), 0);
  auto ring = user.open(200, ids);
  ASSERT_TRUE(ring.ok()) << ring.status();
  const auto rows = (*ring)->append(ids, client::RowsWanted::kAll);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->size(), 200 * user.model().hidden());
  EXPECT_EQ((*ring)->reused_positions(), 0);
  auto local = client::LocalPipeline::create(user.model(), 200, user.interrupt());
  EXPECT_EQ(*rows, *(*local)->append(ids, client::RowsWanted::kAll));
}

// What was announced is not what comes: only what is the same is reused.
TEST_F(Prefix, OnlyWhatIsTheSameIsReused) {
  InProcessSwarm swarm(even_spans(8, 2));
  TestClient user(swarm.address());
  user.salt = client::prefix_salt_named("us");
  const auto asked = request(user, 200);
  expect_reuse(user, asked, 0);
  auto ring = user.open(200, asked.prompt_ids);
  ASSERT_TRUE(ring.ok()) << ring.status();
  auto ids = asked.prompt_ids;
  ++ids[70];
  const auto row = (*ring)->append(ids, client::RowsWanted::kLast);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ((*ring)->reused_positions(), 70);
  auto local = client::LocalPipeline::create(user.model(), 200, user.interrupt());
  EXPECT_EQ(*row, *(*local)->append(ids, client::RowsWanted::kLast));
  ring->reset();
  auto changed = asked;
  changed.prompt_ids = ids;
  expect_reuse(user, changed, 192);
  expect_reuse(user, asked, 192);
}

}  // namespace
}  // namespace shoal::tests
