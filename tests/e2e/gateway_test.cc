// SPDX-License-Identifier: Apache-2.0
// The gateway in front of a swarm: the texts of one process, many streams at a time, a node that is
// lost, clients that go.
#include "client/serve/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/mutex.h"
#include "client/serve/http_server.h"
#include "client/serve/swarm_sessions.h"
#include "client/text/embedding.h"
#include "client/text/local_pipeline.h"
#include "net/identity_tls.h"
#include "tests/client/golden.h"
#include "tests/client/serve/http_client.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"
#include "tests/support/process.h"

namespace shoal::tests {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

// As shoal serve, in this process.
class Served {
 public:
  explicit Served(const InProcessSwarm& swarm, client::Engine::Options limits = {16, 64},
                  std::chrono::milliseconds wait = std::chrono::milliseconds(60'000))
      : model_(client::load_demo(1)) {
    client::JoinOptions options;
    options.peers = {swarm.address()};
    auto joined = client::SwarmConnection::join(std::move(options), stop_);
    CHECK(joined.ok()) << joined.status();
    swarm_ = *std::move(joined);
    model_->share_ends();
    sessions_ = std::make_unique<client::SwarmSessions>(
        *model_, *swarm_, client::SwarmSessionOptions{wait, [this](const std::string& text) {
                                                        base::MutexLock lock(mutex_);
                                                        told_ += text + "\n";
                                                      }});
    engine_ = std::make_unique<client::Engine>(
        *model_,
        [this](client::SessionNeeds needs, const base::StopToken& stop) {
          return sessions_->open(std::move(needs), stop);
        },
        limits);
    gateway_ = std::make_unique<client::Gateway>(
        *model_, model::chat::ChatTemplate::load(client::demo_folder()).value(), *engine_,
        [this] { return sessions_->check_chain(stop_); },
        client::GatewayOptions{.model_name = "demo", .pooling = model::Pooling{}});
    auto server = client::HttpServer::start(
        "127.0.0.1:0", {},
        [this](client::HttpRequest request, std::shared_ptr<client::HttpReply> reply) {
          gateway_->handle(std::move(request), std::move(reply));
        });
    CHECK(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  ~Served() {
    server_->stop_accepting();
    engine_->stop();
    server_.reset();
  }

  std::uint16_t port() const { return server_->port(); }
  client::Engine& engine() { return *engine_; }
  const client::UserModel& model() { return *model_; }
  std::string told() {  // to people
    base::MutexLock lock(mutex_);
    return told_;
  }

 private:
  base::Mutex mutex_;
  std::string told_ ABSL_GUARDED_BY(mutex_);
  base::StopToken stop_;
  std::unique_ptr<client::UserModel> model_;
  std::unique_ptr<client::SwarmConnection> swarm_;
  std::unique_ptr<client::SwarmSessions> sessions_;
  std::unique_ptr<client::Engine> engine_;
  std::unique_ptr<client::Gateway> gateway_;
  std::unique_ptr<client::HttpServer> server_;
};

std::string stream_request(const std::string& prompt, int max_tokens) {
  return post("/v1/completions", Json{{"prompt", prompt},
                                      {"max_tokens", max_tokens},
                                      {"temperature", 0},
                                      {"ignore_eos", true},
                                      {"stream", true}}
                                     .dump());
}

// The text of all events that came; how often there was an error.
struct Told {
  std::string text;
  int errors = 0;
  bool done = false;
};
Told told_by(const std::string& received) {
  Told told;
  for (std::size_t at = received.find("data: "); at != std::string::npos;
       at = received.find("data: ", at + 1)) {
    const std::string data = received.substr(at + 6, received.find("\n\n", at) - at - 6);
    if (data == "[DONE]") {
      told.done = true;
      continue;
    }
    const Json json = Json::parse(data);
    if (json.contains("error")) ++told.errors;
    if (json.contains("choices")) told.text += json["choices"][0]["text"].get<std::string>();
  }
  return told;
}

std::string here(const std::string& prompt, int max_tokens) {
  const Outcome outcome =
      run({program("shoal"), "generate", "--local", "--model", client::demo_folder(), "--greedy",
           "--ignore-eos", "--json", "--max-tokens", std::to_string(max_tokens), prompt},
          60'000);
  CHECK(outcome.status == 0) << outcome.err;
  return Json::parse(outcome.out)["text"];
}

class GatewaySwarm : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }
};

TEST_F(GatewaySwarm, GivesTheTextOfTheCommandLine) {
  InProcessSwarm swarm(even_spans(8, 3));
  {
    Served served(swarm);
    HttpClient client(served.port());
    client.send(stream_request("Once upon a time", 30));
    ASSERT_TRUE(client.receive_until("[DONE]", 30'000)) << client.received;
    EXPECT_EQ(told_by(client.received).text, here("Once upon a time", 30));
    client.received.clear();
    client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(client.receive_until("\"ok\"", 10'000)) << client.received;
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

// The body alone.
std::string answer_to(const Served& served, const std::string& request) {
  HttpClient client(served.port());
  client.send(request);
  CHECK(client.receive_until("}}", 30'000)) << client.received;
  return client.received.substr(client.received.find("\r\n\r\n") + 4);
}

TEST_F(GatewaySwarm, VectorsHaveTheBitsOfOneProcess) {
  const std::vector<std::string> texts{"Once upon a time", "The wolf said: come in."};
  const std::string request = post("/v1/embeddings", Json{{"input", texts}}.dump());
  std::vector<Json> answers;
  for (const int nodes : {1, 3}) {
    InProcessSwarm swarm(even_spans(8, nodes));
    {
      Served served(swarm);
      answers.push_back(Json::parse(answer_to(served, request))["data"]);
    }
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
  }
  EXPECT_EQ(answers[0], answers[1]);
  const auto demo = client::load_demo(1);
  base::StopToken stop;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto pipeline = client::LocalPipeline::create(*demo, 64, stop);
    const auto here = client::embedding_of(**pipeline, *demo, model::Pooling{},
                                           *demo->tokenizer->encode(texts[i]));
    ASSERT_TRUE(here.ok()) << here.status();
    EXPECT_EQ(answers[0][i]["embedding"].get<std::vector<float>>(), *here);
  }
}

TEST_F(GatewaySwarm, HopsAreCounted) {
  InProcessSwarm swarm(even_spans(8, 3));
  Served served(swarm);
  HttpClient client(served.port());
  client.send(stream_request("Once upon a time", 30));
  ASSERT_TRUE(client.receive_until("[DONE]", 30'000)) << client.received;
  client.received.clear();
  client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(client.receive_until("num_requests_waiting{", 10'000)) << client.received;
  EXPECT_THAT(client.received, HasSubstr("shoal_serve_route_hops_sum{model_name=\"demo\"} 3\n"));
  EXPECT_THAT(client.received,
              HasSubstr("shoal_serve_prefix_cache_queries_total{model_name=\"demo\"} 5\n"));
  // The last hop's word may come after its rows.
  const std::string computed =
      "shoal_serve_hop_seconds_count{part=\"compute\",model_name=\"demo\"} ";
  const std::size_t at = client.received.find(computed);
  ASSERT_NE(at, std::string::npos);
  EXPECT_GE(std::stoi(client.received.substr(at + computed.size())), 60);
}

TEST_F(GatewaySwarm, ManyStreamsAtATimeGetTheirOwnTexts) {
  InProcessSwarm swarm(even_spans(8, 2));
  constexpr std::size_t kStreams = 16;
  const std::vector<std::string> prompts{"Once upon a time", "The wolf said", "One day, a girl",
                                         "Tom and his dog"};
  std::vector<std::string> expected;
  for (const std::string& prompt : prompts) expected.push_back(here(prompt, 24));
  {
    Served served(swarm);
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (std::size_t i = 0; i < kStreams; ++i) {
      clients.push_back(std::make_unique<HttpClient>(served.port()));
      clients.back()->send(stream_request(prompts[i % prompts.size()], 24));
    }
    for (std::size_t i = 0; i < kStreams; ++i) {
      ASSERT_TRUE(clients[i]->receive_until("[DONE]", 60'000)) << i << clients[i]->received;
      const Told told = told_by(clients[i]->received);
      EXPECT_EQ(told.errors, 0);
      EXPECT_EQ(told.text, expected[i % prompts.size()]) << i;
    }
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(GatewaySwarm, ALostNodeDoesNotShowInTheText) {
  InProcessSwarm swarm({{0, 4}, {4, 8}, {4, 8}});
  const std::string expected = here("Once upon a time", 400);
  {
    Served served(swarm);
    HttpClient client(served.port());
    client.send(stream_request("Once upon a time", 400));
    ASSERT_TRUE(client.receive_until("data: ", 30'000));
    swarm.stop(swarm.node(1).stats().sessions > 0 ? 1 : 2);  // the one of the two that is ours
    ASSERT_TRUE(client.receive_until("[DONE]", 60'000)) << client.received;
    const Told told = told_by(client.received);
    EXPECT_EQ(told.errors, 0);
    EXPECT_EQ(told.text, expected);
    EXPECT_THAT(served.told(), HasSubstr("lost"));
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(GatewaySwarm, WhatNobodyServesAnyMoreEndsTheStreamWithAnError) {
  InProcessSwarm swarm({{0, 4}, {4, 8}});
  Served served(swarm, {16, 64}, std::chrono::milliseconds(300));
  HttpClient client(served.port());
  client.send(stream_request("Once upon a time", 900));
  ASSERT_TRUE(client.receive_until("data: ", 30'000));
  swarm.stop(1);
  ASSERT_TRUE(client.receive_until("[DONE]", 60'000)) << client.received;
  EXPECT_EQ(told_by(client.received).errors, 1);
  // The connection is good for more, and says so of the swarm.
  for (int i = 0; i < 40; ++i) {
    client.received.clear();
    client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_TRUE(client.receive_until("\r\n\r\n", 20'000));
    if (client.received.find(" 503 ") != std::string::npos) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  EXPECT_THAT(client.received, HasSubstr("HTTP/1.1 503 ")) << client.received;
}

TEST_F(GatewaySwarm, WhoGoesFreesEveryPageAtOnce) {
  InProcessSwarm swarm(even_spans(8, 3));
  Served served(swarm, {8, 8});
  {
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < 12; ++i) {  // some of them wait
      clients.push_back(std::make_unique<HttpClient>(served.port()));
      clients.back()->send(stream_request("Once upon a time", 900));
    }
    for (int i = 0; i < 8; ++i)
      ASSERT_TRUE(clients[static_cast<std::size_t>(i)]->receive_until("data: ", 30'000));
    EXPECT_FALSE(swarm.idle_within(0));
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
  EXPECT_EQ(served.engine().unfinished(), 0u);
}

TEST_F(GatewaySwarm, TheProgramSaysWhereItIsAndFinishesItsAnswers) {
  Process serve({program("shoal"), "serve", "--local", "--model", client::demo_folder(), "--listen",
                 "127.0.0.1:0", "--served-model-name", "tales", "--threads", "1"});
  const std::string before = "serving tales at http://127.0.0.1:";
  for (int i = 0; i < 400 && serve.out().find("/v1\n") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ASSERT_THAT(serve.out(), ::testing::StartsWith(before)) << serve.err();
  const auto port = static_cast<std::uint16_t>(std::stoi(serve.out().substr(before.size())));
  HttpClient client(port);
  client.send(stream_request("Once upon a time", 300));
  ASSERT_TRUE(client.receive_until("data: ", 30'000)) << client.received;
  serve.signal(SIGTERM);
  EXPECT_TRUE(client.receive_until("[DONE]", 60'000)) << client.received;
  EXPECT_EQ(told_by(client.received).text, here("Once upon a time", 300));
  EXPECT_EQ(serve.wait(10'000), 128 + SIGTERM) << serve.err();
}

}  // namespace
}  // namespace shoal::tests
