// SPDX-License-Identifier: Apache-2.0
// What the gateway gives the page, without sockets and without a swarm: its files, who may see
// what, how often it looks, and what one more GPU would bring.
#include "client/serve/swarm_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "client/serve/gateway.h"
#include "client/serve/gpu_growth.h"
#include "client/text/local_pipeline.h"
#include "model/memory_needs.h"
#include "tests/client/golden.h"
#include "tests/client/serve/fake_reply.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using tests::FakeReply;

SwarmView two_nodes() {
  SwarmView view;
  view.block_count = 8;
  for (const proto::Span span : {proto::Span{0, 5}, proto::Span{3, 8}}) {
    NodeView node;
    node.peer.bytes[0] = static_cast<std::uint8_t>(span.end);
    node.offer.span = span;
    node.offer.public_name = "<b>&\"";
    node.load.state = proto::NodeState::kOnline;
    node.load.block_step_us = 100;
    view.nodes.push_back(node);
  }
  return view;
}

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

class SwarmPageTest : public ::testing::Test {
 protected:
  void build(SwarmWatch::Look look, std::vector<std::string> keys = {}) {
    engine_ = std::make_unique<Engine>(
        *demo_,
        [this](SessionNeeds needs,
               const base::StopToken& stop) -> absl::StatusOr<std::unique_ptr<Pipeline>> {
          auto opened = LocalPipeline::create(*demo_, needs.positions, stop);
          if (!opened.ok()) return opened.status();
          return *std::move(opened);
        },
        Engine::Options{1, 3});
    page_ = std::make_unique<SwarmPage>(*demo_, "demo", std::move(look));
    gateway_ = std::make_unique<Gateway>(
        *demo_, std::nullopt, *engine_, [] { return absl::OkStatus(); },
        GatewayOptions{.model_name = "demo", .api_keys = std::move(keys), .page = page_.get()});
  }
  HttpResponse ask(const std::string& path, const std::string& key = "",
                   const std::string& if_none_match = "", const std::string& body = "") {
    auto reply = std::make_shared<FakeReply>();
    HttpRequest request{body.empty() ? "GET" : "POST",          path, "localhost", key,
                        body.empty() ? "" : "application/json", "id", body};
    request.if_none_match = if_none_match;
    gateway_->handle(std::move(request), reply);
    EXPECT_TRUE(reply->finishes_within(20'000));
    return reply->response();
  }

  const std::unique_ptr<UserModel> demo_ = load_demo(1);
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SwarmPage> page_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(SwarmPageTest, FilesAreThereForEverybodyWithAStrictPolicy) {
  build({}, {"key"});
  const HttpResponse page = ask("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<title>Shoal</title>"));
  const std::string policy = header(page, "Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self';"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'; require-trusted-types-for 'script'"));
  EXPECT_THAT(policy, ::testing::Not(HasSubstr("unsafe")));
  EXPECT_EQ(header(page, "Referrer-Policy"), "no-referrer");
  EXPECT_EQ(header(page, "Cross-Origin-Resource-Policy"), "same-origin");
  EXPECT_EQ(ask("/page/main.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(ask("/page/style.css").content_type, "text/css; charset=utf-8");
  // Not sent again while it is the same.
  const std::string etag = header(page, "ETag");
  EXPECT_EQ(ask("/", "", etag).status, 304);
  EXPECT_EQ(ask("/", "", etag).body, "");
  EXPECT_EQ(ask("/", "", "\"other\"").status, 200);
  EXPECT_EQ(ask("/page/").status, 404);
  EXPECT_EQ(ask("/page/../main.js").status, 404);
  EXPECT_EQ(ask("/page/main.js", "", "", "{}").status, 405);
  EXPECT_EQ(ask("/pager", "Bearer key").status, 404);
}

TEST_F(SwarmPageTest, TheSwarmIsForThoseWhoMayInfer) {
  build([](const base::StopToken&) { return two_nodes(); }, {"key"});
  EXPECT_EQ(ask("/swarm").status, 401);
  EXPECT_EQ(ask("/swarm/growth/24").status, 401);
  EXPECT_EQ(ask("/swarm/answers/x").status, 401);
  const HttpResponse response = ask("/swarm", "Bearer key");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "Cache-Control"), "no-store");
  const Json swarm = Json::parse(response.body);
  EXPECT_EQ(swarm["blocks"], 8);
  EXPECT_EQ(swarm["coverage"]["servers"], Json::parse("[1,1,1,2,2,1,1,1]"));
  EXPECT_EQ(swarm["thin"], Json::parse("[[0,3],[5,8]]"));
  EXPECT_EQ(swarm["missing"], Json::array());
  EXPECT_EQ(swarm["nodes"][0]["public_name"], "<b>&\"");
  EXPECT_EQ(swarm["nodes"][1]["sessions"], nullptr);
  EXPECT_EQ(swarm["growth"]["cards"].size(), kCardSizes.size());
  EXPECT_EQ(swarm["growth"]["block_step_us"], 100);
  EXPECT_EQ(Json::parse(ask("/swarm/growth/20", "Bearer key").body)["gib"], 20);
  for (const char* path : {"/swarm/growth/0", "/swarm/growth/", "/swarm/growth/-1",
                           "/swarm/growth/99999999999", "/swarm/growth/8x"}) {
    EXPECT_EQ(ask(path, "Bearer key").status, 400) << path;
  }
  EXPECT_EQ(ask("/swarm/else", "Bearer key").status, 404);
}

TEST_F(SwarmPageTest, ASwarmThatCannotBeSeenIsSaidInWords) {
  build([](const base::StopToken&) -> absl::StatusOr<SwarmView> {
    return absl::UnavailableError("nobody answers");
  });
  const Json swarm = Json::parse(ask("/swarm").body);
  EXPECT_EQ(swarm["error"], "nobody answers");
  EXPECT_EQ(swarm["missing"], Json::parse("[[0,8]]"));
  EXPECT_EQ(ask("/swarm/growth/8").status, 503);
}

TEST_F(SwarmPageTest, AnAnswerIsTracedByItsId) {
  build({});
  const Json answer = Json::parse(
      ask("/v1/completions", "", "", R"({"prompt":"Once upon a time","max_tokens":4,"n":2})").body);
  const Json trace = Json::parse(ask("/swarm/answers/" + answer["id"].get<std::string>()).body);
  EXPECT_EQ(trace["state"], "done");
  EXPECT_EQ(trace["prompt_tokens"], 5);
  EXPECT_EQ(trace["completion_tokens"], 4);  // of its first choice
  EXPECT_EQ(trace["token"]["steps"], 3);
  EXPECT_EQ(trace["token"]["hops"][0]["end"], 8);
  EXPECT_EQ(trace["token"]["hops"][0]["peer"], "");
  const Json swarm = Json::parse(ask("/swarm").body);
  EXPECT_TRUE(swarm["local"].get<bool>());
  EXPECT_EQ(swarm["last_answer"]["id"], answer["id"]);
  EXPECT_EQ(ask("/swarm/answers/cmpl-0").status, 404);
  EXPECT_EQ(ask("/swarm/growth/8").status, 404);
}

TEST(SwarmWatch, LooksOnceForAllAndNotWhileNobodyAsks) {
  std::atomic<int> looks{0};
  SwarmWatch watch([&](const base::StopToken&) {
    ++looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return two_nodes();
  });
  std::atomic<int> told{0};
  for (int i = 0; i < 30; ++i) {
    watch.ask([&](const SwarmSight& sight) { told += sight.view.ok() ? 1 : 0; });
  }
  for (int i = 0; i < 200 && told < 30; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(told, 30);
  EXPECT_LE(looks, 2);
  // From here on those who ask are told at once, of the same look.
  for (int i = 0; i < 30; ++i) {
    watch.ask([&](const SwarmSight&) { ++told; });
  }
  EXPECT_EQ(told, 60);
  EXPECT_LE(looks, 2);
}

TEST(SwarmWatch, TellsThoseWhoWaitThatItEnds) {
  std::atomic<bool> stopped{false};
  SwarmWatch watch([&](const base::StopToken& stop) -> absl::StatusOr<SwarmView> {
    while (!stop.stopped()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stopped = true;
    return stop.status();
  });
  int told = 0;
  const auto tell = [&](const SwarmSight& sight) { told += sight.view.ok() ? 0 : 1; };
  watch.ask(tell);
  watch.stop();
  EXPECT_EQ(told, 1);
  watch.ask(tell);
  EXPECT_EQ(told, 2);
}

TEST(SwarmWatch, ALargeSwarmIsAskedSeldom) {
  EXPECT_EQ(SwarmWatch::pause_for(3), std::chrono::milliseconds(2'000));
  EXPECT_EQ(SwarmWatch::pause_for(200), std::chrono::milliseconds(10'000));
  EXPECT_EQ(SwarmWatch::pause_for(1u << 30), std::chrono::milliseconds(15'000));
}

// A card holds what a node would take on it, and no more than the model has.
TEST(GpuGrowth, FollowsTheRulesOfANode) {
  model::ModelConfig config = load_demo(1)->config;
  SwarmView view = two_nodes();
  const GpuGrowth all = growth_of(config, view, 8, 100);
  ASSERT_EQ(all.formats.size(), 3u);
  for (const FormatGrowth& format : all.formats) EXPECT_EQ(format.blocks, 8u);
  EXPECT_EQ(all.formats[0].gain.before.servers, 1u);
  EXPECT_EQ(all.formats[0].gain.after.servers, 2u);
  // A model of 70 billion: 80 blocks of 8192, of which a card of 24 GiB holds some.
  config.block_count = 80;
  view.block_count = 80;
  for (model::BlockSpec& kind : config.kinds) {
    for (model::WeightSpec& weight : kind.weights) {
      weight.rows *= 32;
      if (!weight.is_vector()) weight.cols *= 32;
    }
  }
  config.block_kinds.assign(80, 0);
  const GpuGrowth some = growth_of(config, view, 24, 100);
  std::uint32_t before = 0;
  for (const FormatGrowth& format : some.formats) {  // the widest first
    EXPECT_GT(format.blocks, before);
    EXPECT_LT(format.blocks, 80u);
    EXPECT_EQ(format.gain.span.size(), format.blocks);
    before = format.blocks;
    const auto needs = model::memory_needs(config, 2, 512, kernels::KvDType::kF32, format.weights);
    EXPECT_LE(format.blocks * needs.block_weight_bytes, std::uint64_t{24} << 30);
  }
  EXPECT_GE(growth_of(config, view, 48, 100).formats[0].blocks, 2 * some.formats[0].blocks);
  const GpuGrowth none = growth_of(config, view, 1, 100);
  EXPECT_EQ(none.formats[0].blocks, 0u);
}

}  // namespace
}  // namespace shoal::client
