// SPDX-License-Identifier: Apache-2.0
// Vectors of texts: by the model's rule, the same bits in every form, refused where there is none.
#include "client/text/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "absl/strings/escaping.h"
#include "tests/client/serve/demo_gateway.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using Rows = model::Pooling::Rows;

constexpr const char* kWolf = "Once upon a time there was a wolf";

// As the definition has it: each row alone through the blocks, normed, and then in double.
std::vector<double> by_hand(const UserModel& demo, Rows rows) {
  const auto ids = *demo.tokenizer->encode(kWolf);
  base::StopToken stop;
  auto pipeline = LocalPipeline::create(demo, 64, stop);
  std::vector<double> sum(demo.hidden());
  std::vector<float> normed(demo.hidden());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto row = (*pipeline)->append(std::span(ids).subspan(i, 1), RowsWanted::kLast);
    demo.final_norm(*row, normed);
    const bool counts = rows == Rows::kMean || (rows == Rows::kFirst && i == 0) ||
                        (rows == Rows::kLast && i + 1 == ids.size());
    for (std::size_t j = 0; counts && j < sum.size(); ++j) sum[j] += normed[j];
  }
  if (rows == Rows::kMean) {
    for (double& value : sum) value /= static_cast<double>(ids.size());
  }
  return sum;
}

TEST(Embedding, FollowsTheModelsRule) {
  for (const Rows rows : {Rows::kMean, Rows::kFirst, Rows::kLast}) {
    DemoGateway gateway(model::Pooling{.rows = rows});
    const Json json = gateway.ask("/v1/embeddings", {{"model", "demo"}, {"input", kWolf}});
    const auto expected = by_hand(gateway.demo(), rows);
    const auto values = json["data"][0]["embedding"].get<std::vector<float>>();
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i], static_cast<float>(expected[i])) << i;
    }
    EXPECT_EQ(json["usage"]["prompt_tokens"], gateway.demo().tokenizer->encode(kWolf)->size());
    EXPECT_EQ(json["usage"]["total_tokens"], json["usage"]["prompt_tokens"]);
  }
}

TEST(Embedding, SeveralTextsOrIdsAndBothForms) {
  DemoGateway gateway(model::Pooling{.normalize = true});
  const auto ids = *gateway.demo().tokenizer->encode(kWolf);
  const Json texts = gateway.ask("/v1/embeddings", {{"input", {"The wolf", kWolf}}})["data"];
  const Json by_ids = gateway.ask("/v1/embeddings", {{"input", {ids, ids}}})["data"];
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[1]["index"], 1);
  EXPECT_EQ(texts[1]["embedding"], by_ids[0]["embedding"]);
  EXPECT_EQ(by_ids[1]["embedding"], by_ids[0]["embedding"]);
  const auto values = texts[1]["embedding"].get<std::vector<float>>();
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  EXPECT_NEAR(squares, 1, 1e-6);
  const Json packed =
      gateway.ask("/v1/embeddings", {{"input", kWolf}, {"encoding_format", "base64"}})["data"];
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(packed[0]["embedding"].get<std::string>(), &bytes));
  ASSERT_EQ(bytes.size(), values.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data(), values.data(), bytes.size()), 0);
  const Json many = gateway.ask("/api/embed", {{"model", "demo"}, {"input", {kWolf}}});
  EXPECT_EQ(many["embeddings"][0], texts[1]["embedding"]);
  const Json one = gateway.ask("/api/embeddings", {{"model", "demo"}, {"prompt", kWolf}});
  EXPECT_EQ(one["embedding"], texts[1]["embedding"]);
}

TEST(Embedding, ManyTextsKeepTheirOrder) {
  DemoGateway gateway(model::Pooling{});
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back("The wolf said " + std::to_string(i));
  const Json all = gateway.ask("/v1/embeddings", {{"input", texts}});
  ASSERT_EQ(all["data"].size(), texts.size());
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Json one = gateway.ask("/v1/embeddings", {{"input", texts[i]}});
    EXPECT_EQ(all["data"][i]["embedding"], one["data"][0]["embedding"]) << i;
    tokens += one["usage"]["prompt_tokens"].get<std::size_t>();
  }
  EXPECT_EQ(all["usage"]["prompt_tokens"], tokens);
  gateway.broken = absl::UnavailableError("nobody");
  EXPECT_EQ(gateway.post("/v1/embeddings", {{"input", texts}})->response().status, 503);
}

TEST(Embedding, ShorterBeginningsOnlyWhereTheModelNamesThem) {
  DemoGateway gateway(model::Pooling{.normalize = true, .beginnings = {64}});
  const Json whole = gateway.ask("/v1/embeddings", {{"input", kWolf}, {"dimensions", 256}});
  const Json cut = gateway.ask("/v1/embeddings", {{"input", kWolf}, {"dimensions", 64}});
  auto expected = whole["data"][0]["embedding"].get<std::vector<float>>();
  shorten(expected, 64, {.normalize = true});
  EXPECT_EQ(cut["data"][0]["embedding"].get<std::vector<float>>(), expected);
  for (const int wanted : {32, 257}) {
    const auto refused = gateway.post("/v1/embeddings", {{"input", kWolf}, {"dimensions", wanted}});
    EXPECT_EQ(refused->response().status, 400);
    EXPECT_EQ(Json::parse(refused->response().body)["error"]["param"], "dimensions");
  }
}

TEST(Embedding, IsRefusedByName) {
  DemoGateway none;
  const HttpResponse response = none.post("/v1/embeddings", {{"input", "a"}})->response();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(Json::parse(response.body)["error"]["code"], "no_pooling");
  EXPECT_THAT(response.body, ::testing::HasSubstr("modules.json"));
  DemoGateway gateway(model::Pooling{});
  const std::vector<std::int32_t> long_ids(1025, 5);
  const std::vector<Json> wrong = {Json::object(),
                                   {{"input", 7}},
                                   {{"input", Json::array()}},
                                   {{"input", "a"}, {"encoding_format", "int8"}},
                                   {{"input", "a"}, {"model", "b"}},
                                   {{"input", long_ids}},
                                   {{"input", std::vector<int>{9'999'999}}}};
  for (const Json& body : wrong) {
    const int status = gateway.post("/v1/embeddings", body)->response().status;
    EXPECT_EQ(status, body.contains("model") ? 404 : 400) << body;
  }
  // ollama's clients send whatever they have.
  std::string text;
  for (int i = 0; i < 1'200; ++i) text += "wolf ";
  EXPECT_EQ(gateway.post("/api/embed", {{"input", text}})->response().status, 200);
  EXPECT_EQ(gateway.post("/api/embed", {{"input", text}, {"truncate", false}})->response().status,
            400);
}

}  // namespace
}  // namespace shoal::client
