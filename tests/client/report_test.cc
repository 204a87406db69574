// SPDX-License-Identifier: Apache-2.0
#include "client/cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/swarm/gaps.h"

namespace shoal::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

NodeView node_view(int number, proto::Span span,
                   proto::NodeState state = proto::NodeState::kOnline) {
  NodeView view;
  view.peer.bytes.fill(static_cast<std::uint8_t>(number));
  view.offer.span = span;
  view.load.state = state;
  view.load.block_step_us = 123.4;
  view.load.free_kv_positions = 4096;
  view.addresses = {proto::Endpoint::v4({127, 0, 0, 1}, 7000)};
  return view;
}

SwarmView view(std::uint32_t blocks, std::vector<NodeView> nodes) {
  SwarmView result;
  result.model_name = "tale";
  result.block_count = blocks;
  result.nodes = std::move(nodes);
  return result;
}

TEST(Report, GenerateJsonHasEveryField) {
  GenerateRequest request;
  request.prompt_ids = {0, 5};
  request.seed = 9;
  request.top_logits = 1;
  GenerateResult result;
  result.ids = {7, 8};
  result.text = "a \"b\"\n";
  result.finish_reason = "length";
  result.top_logits = {{{7, 10.51809978485107f}}, {{8, -0.1f}}};
  result.time_to_first_token_ms = 12.5;
  result.per_token_ms = {3.25};
  result.total_ms = 15.75;
  const Route route{{node_view(0xab, {}).peer,
                     {proto::Endpoint::v4({127, 0, 0, 1}, 7001)},
                     {0, 8},
                     {proto::Compute::kI8, proto::WeightFormat::kQ4, proto::KvFormat::kF32}}};
  const RunFacts facts{.route = route,
                       .reroutes = 2,
                       .kinds = kinds_of(route),
                       .exact = false,
                       .head = model::WeightChoice::kQ8};
  const Json json = Json::parse(generate_json(request, result, facts));
  EXPECT_EQ(json["prompt_ids"], Json({0, 5}));
  EXPECT_EQ(json["ids"], Json({7, 8}));
  EXPECT_EQ(json["text"], result.text);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 9);
  EXPECT_EQ(json["reroutes"], 2);
  EXPECT_EQ(json["compute"], "i8/q4");
  EXPECT_EQ(json["head"], "q8");
  EXPECT_EQ(json["exact"], false);
  EXPECT_EQ(json["route"][0]["compute"], "i8/q4");
  EXPECT_EQ(json["route"][0]["span"], Json({0, 8}));
  EXPECT_EQ(json["route"][0]["peer_id"], proto::to_string(route[0].peer));
  EXPECT_EQ(json["timings"]["time_to_first_token_ms"], 12.5);
  EXPECT_EQ(json["timings"]["per_token_ms"], Json({3.25}));
  EXPECT_EQ(json["timings"]["total_ms"], 15.75);
  // Nine significant digits: exactly this float again, and no more than that.
  EXPECT_EQ(static_cast<float>(json["logits"][0][0][1].get<double>()), 10.51809978485107f);
  EXPECT_THAT(generate_json(request, result, facts), HasSubstr("10.5180998"));
  EXPECT_THAT(generate_json(request, result, facts), HasSubstr("-0.100000001"));
}

TEST(Report, SaysHowAResultWasComputed) {
  RunFacts facts;
  facts.kinds.assign(4, {proto::Compute::kF32, proto::WeightFormat::kBf16, proto::KvFormat::kF32});
  EXPECT_EQ(facts_line(facts), "computed in f32/bf16, head stored, exact");
  EXPECT_EQ(Json::parse(score_json({}, 1, facts))["exact"], true);
  facts.kinds[3] = {proto::Compute::kI8, proto::WeightFormat::kQ8, proto::KvFormat::kF32};
  facts.exact = false;
  facts.head = model::WeightChoice::kQ8;
  EXPECT_EQ(facts_line(facts),
            "computed in f32/bf16 (blocks 0..2), i8/q8 (block 3), head q8, not exact");
  EXPECT_THAT(score_text({}, facts), HasSubstr("head q8, not exact"));
  facts.reused_positions = 64;
  EXPECT_THAT(facts_line(facts), HasSubstr("head q8, 64 positions reused, not exact"));
}

TEST(Report, StatusTellsTheHealthOfTheDirectory) {
  DhtHealth health;
  health.contacts = 40;
  health.verified_contacts = 30;
  health.estimated_peers = 1234.4;
  health.lookups_found = 3;
  health.lookup_ms = {200, 100, 300, 4000};
  health.requests_answered = 50;
  health.requests_failed = 7;
  const std::string text = status_text({}, health);
  EXPECT_THAT(text, HasSubstr("40 contacts, 75 % verified; about 1234 peers"));
  EXPECT_THAT(text, HasSubstr("3 of 4 lookups found a record, p50 200.0 ms, p99 4000.0 ms"));
  EXPECT_THAT(text, HasSubstr("57 requests, 7 without an answer"));
  const Json json = Json::parse(status_json({}, health)).at("dht");
  EXPECT_EQ(json.at("contacts"), 40);
  EXPECT_EQ(json.at("verified_contacts"), 30);
  EXPECT_EQ(json.at("verified_share"), 0.75);
  EXPECT_EQ(json.at("estimated_peers"), 1234);
  EXPECT_EQ(json.at("lookups"), 4);
  EXPECT_EQ(json.at("lookups_found"), 3);
  EXPECT_EQ(json.at("lookup_success"), 0.75);
  EXPECT_EQ(json.at("lookup_ms").at("p50"), 200);
  EXPECT_EQ(json.at("lookup_ms").at("p99"), 4000);
  EXPECT_EQ(json.at("requests_answered"), 50);
  EXPECT_EQ(json.at("requests_failed"), 7);
}

TEST(Report, HealthWithoutLookupsIsNoSuccessAndTakesNoTime) {
  const DhtHealth none;
  EXPECT_EQ(none.success(), 0);
  EXPECT_EQ(none.verified_share(), 0);
  EXPECT_EQ(none.quantile_ms(0.99), 0);
}

TEST(Report, StatusShowsWhoServesWhatAndWhatNobodyServes) {
  const auto swarm = view(8, {node_view(0x11, {0, 4}), node_view(0x22, {2, 5}),
                              node_view(0x33, {6, 8}, proto::NodeState::kJoining)});
  const std::string text = status_text({swarm}, {});
  EXPECT_THAT(text, HasSubstr("model tale"));
  EXPECT_THAT(text, HasSubstr("11111111  ####....        0:4  online         123      4096"));
  EXPECT_THAT(text, HasSubstr("22222222  ..###..."));
  EXPECT_THAT(text, HasSubstr("33333333  ......jj"));
  EXPECT_THAT(text, HasSubstr("servers   11221!!!  nobody serves blocks 5..7"));
  const Json json = Json::parse(status_json({swarm}, {}));
  EXPECT_EQ(json["models"][0]["missing"], Json::parse("[[5, 8]]"));
  EXPECT_EQ(json["models"][0]["nodes"][1]["span"], Json({2, 5}));
  EXPECT_EQ(json["models"][0]["nodes"][2]["state"], "joining");
  EXPECT_EQ(json["models"][0]["nodes"][0]["addresses"], Json({"127.0.0.1:7000"}));
}

TEST(Report, OnlyNodesThatAnswerServe) {
  constexpr std::uint64_t kNow = 1'700'000'000'000'000;
  auto swarm = view(8, {node_view(0x11, {0, 5}), node_view(0x22, {4, 8}), node_view(0x33, {6, 8})});
  swarm.nodes[0].live = proto::Occupancy{};
  swarm.nodes[1].silence = "does not answer (nothing listens there)";
  swarm.nodes[1].announced_us = kNow - 41'500'000;
  swarm.nodes[2].silence = "has only IPv6 addresses, and this machine has no way to them";
  swarm.nodes[2].addresses = {*proto::parse_endpoint("[::1]:7"), *proto::parse_endpoint("[::1]:8")};
  const std::string text = status_text({swarm}, {}, kNow);
  EXPECT_THAT(text, HasSubstr("1 node, 2 more not answering"));
  EXPECT_THAT(text, HasSubstr("blocks 5..7 of 8 are served by nobody: one more node that serves "
                              "them would close the gap\n"));
  EXPECT_THAT(text, HasSubstr("22222222  ....xxxx        4:8  silent"));
  EXPECT_THAT(text, HasSubstr("servers   11111!!!  nobody who answers serves blocks 5..7"));
  EXPECT_THAT(text, HasSubstr("node 22222222 at 127.0.0.1:7000 does not answer (nothing listens "
                              "there); its record is 41 s old\n"));
  EXPECT_THAT(text, HasSubstr("node 33333333 at [::1]:7 (and 1 more address) has only IPv6"));
  const Json model = Json::parse(status_json({swarm}, {}, kNow))["models"][0];
  EXPECT_EQ(model["missing"], Json::parse("[[5, 8]]"));
  EXPECT_EQ(model["served"], false);
  EXPECT_EQ(model["answering"], 1);
  EXPECT_EQ(model["gaps"], Json::parse(R"([{"begin": 5, "end": 8, "weight_bytes": null}])"));
  EXPECT_EQ(model["nodes"][0]["answers"], true);
  EXPECT_FALSE(model["nodes"][0].contains("silence"));
  EXPECT_EQ(model["nodes"][1]["silence"], swarm.nodes[1].silence);
  EXPECT_EQ(model["nodes"][1]["record_age_s"], 41);

  const std::string check(check_served({swarm}, kNow).message());
  EXPECT_THAT(check, HasSubstr("nobody who answers serves blocks 5..7 of tale, node 22222222"));
  swarm.nodes[2].silence = "";
  EXPECT_THAT(std::string(check_served({swarm}, kNow).message()), HasSubstr("block 5 of tale"));
  swarm.nodes[0].offer.span = {0, 6};
  EXPECT_TRUE(check_served({swarm}, kNow).ok());
  EXPECT_THAT(status_text({swarm}, {}, kNow), HasSubstr("every block is served"));
  EXPECT_EQ(Json::parse(status_json({swarm}, {}, kNow))["models"][0]["served"], true);
}

TEST(Report, WhatWouldCloseTheGap) {
  auto swarm = view(8, {node_view(0x11, {0, 4})});
  swarm.block_bytes = {9, 9, 9, 9, 300'000'000, 300'000'000, 300'000'000, 300'000'000};
  EXPECT_EQ(
      describe_gaps(swarm),
      "blocks 4..7 of 8 are served by nobody: one more node with 1144 MiB of memory for their "
      "weights would close the gap");
  EXPECT_THAT(status_text({swarm}, {}), HasSubstr(describe_gaps(swarm)));
  EXPECT_EQ(Json::parse(status_json({swarm}, {}))["models"][0]["gaps"][0]["weight_bytes"],
            1'200'000'000);
  swarm.nodes.push_back(node_view(0x22, {5, 8}));
  swarm.block_bytes[4] = 42'000'000;
  EXPECT_EQ(describe_gaps(swarm),
            "block 4 of 8 is served by nobody: one more node with 40 MiB of memory for its "
            "weights would close the gap");
  swarm.nodes[0].offer.span = {1, 4};
  EXPECT_EQ(describe_gaps(swarm),
            "blocks 0 and 4 of 8 are served by nobody: 2 more nodes would close the gaps, with "
            "0 MiB for the weights of block 0 and 40 MiB for the weights of block 4");
  swarm.nodes[0].offer.span = {0, 5};
  EXPECT_EQ(describe_gaps(swarm), "");
  // What is of another size than the model is not believed.
  swarm.nodes.clear();
  swarm.block_bytes.pop_back();
  EXPECT_EQ(weight_bytes(swarm, {0, 2}), std::nullopt);
}

TEST(Report, EveryModelIsChecked) {
  const auto whole = view(2, {node_view(1, {0, 2})});
  auto broken = view(4, {node_view(1, {0, 2})});
  broken.model_name = "saga";
  EXPECT_TRUE(check_served({whole}, 0).ok());
  EXPECT_THAT(std::string(check_served({whole, broken}, 0).message()),
              testing::StrEq("nobody serves blocks 2..3 of saga"));
  EXPECT_THAT(std::string(check_served({}, 0).message()), HasSubstr("no node of this swarm"));
  EXPECT_THAT(status_text({view(4, {})}, {}), HasSubstr("no node of this swarm serves it"));
}

TEST(Report, TheAgeOfARecordIsToldWhenTheClocksCanBeRight) {
  NodeView some = node_view(1, {0, 1});
  EXPECT_EQ(record_age_s(some, 100), std::nullopt);
  some.announced_us = 5'000'000;
  EXPECT_EQ(record_age_s(some, 5'999'999), 0u);
  EXPECT_EQ(record_age_s(some, 65'000'000), 60u);
  EXPECT_EQ(record_age_s(some, 4'000'000), std::nullopt);
  EXPECT_EQ(record_age_s(some, 999'000'000), std::nullopt);
}

TEST(Report, WideModelsShareColumns) {
  const std::string text = status_text({view(130, {node_view(1, {0, 129})})}, {});
  EXPECT_THAT(text, HasSubstr("each column is 3 blocks"));
  EXPECT_THAT(text, HasSubstr("1!  nobody serves block 129"));
}

TEST(Report, AnEmptySwarmSaysSo) {
  EXPECT_THAT(status_text({}, {}), HasSubstr("no node"));
  EXPECT_EQ(Json::parse(status_json({}, {}))["models"], Json::array());
}

TEST(Report, ARelayedNodeIsToldWhereOthersReachIt) {
  NodeView relayed = node_view(1, {0, 1});
  relayed.addresses = {
      proto::Endpoint::v4({192, 168, 8, 2}, 7001),
      proto::Address::through(proto::PeerId{}, proto::Endpoint::v4({192, 0, 2, 1}, 7000))};
  EXPECT_THAT(status_text({view(1, {relayed})}, {}),
              AllOf(HasSubstr("  via relay 192.0.2.1:7000\n"), Not(HasSubstr("192.168.8.2"))));
}

TEST(Report, NamesOfOthersCannotDriveTheTerminal) {
  NodeView rude = node_view(1, {0, 1});
  rude.offer.public_name = "x\x1b[2J\r";
  EXPECT_THAT(status_text({view(1, {rude})}, {}), HasSubstr("x?[2J?"));
}

TEST(Report, TraceShowsEachHop) {
  StepTiming timing;
  timing.total_us = 5000;
  timing.return_us = 250;
  timing.hops = {{node_view(0xaa, {}).peer, {0, 4}, 10, 2000, 400},
                 {node_view(0xbb, {}).peer, {4, 8}, 20, 1500, 300}};
  EXPECT_EQ(trace_line(3, timing, 100),
            "token 3: 5.10 ms = aaaaaaaa [0:4) queue 0.01 compute 2.00 network 0.40 | "
            "bbbbbbbb [4:8) queue 0.02 compute 1.50 network 0.30 | return 0.25 | client 0.10");
  TraceSummary summary;
  EXPECT_EQ(summary.text(), "");
  summary.add(timing, 100);
  timing.hops[0].compute_us = 4000;
  summary.add(timing, 300);
  EXPECT_THAT(summary.text(), HasSubstr("mean of 2 decode steps"));
  EXPECT_THAT(summary.text(), HasSubstr("compute 3.00"));
  EXPECT_THAT(summary.text(), HasSubstr("client 0.20"));
}

}  // namespace
}  // namespace shoal::client
