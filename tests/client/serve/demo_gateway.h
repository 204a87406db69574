// SPDX-License-Identifier: Apache-2.0
// A gateway over the demo model in this process, asked without sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "client/serve/gateway.h"
#include "client/text/local_pipeline.h"
#include "tests/client/golden.h"
#include "tests/client/serve/fake_reply.h"

namespace shoal::client {

class DemoGateway {
 public:
  using Json = nlohmann::ordered_json;

  explicit DemoGateway(absl::StatusOr<model::Pooling> pooling = absl::NotFoundError("none"),
                       bool with_template = true)
      : engine_(*demo_,
                [this](const SessionNeeds& needs,
                       const base::StopToken& stop) -> absl::StatusOr<std::unique_ptr<Pipeline>> {
                  if (!broken.ok()) return broken;
                  auto opened = LocalPipeline::create(*demo_, needs.positions, stop);
                  if (!opened.ok()) return opened.status();
                  return *std::move(opened);
                },
                {1, 3}),
        gateway_(
            *demo_, template_if(with_template), engine_, [] { return absl::OkStatus(); },
            GatewayOptions{.model_name = "demo", .version = "1", .pooling = std::move(pooling)}) {}

  const UserModel& demo() const { return *demo_; }
  std::shared_ptr<tests::FakeReply> begin(HttpRequest request) {
    auto reply = std::make_shared<tests::FakeReply>();
    gateway_.handle(std::move(request), reply);
    EXPECT_TRUE(reply->finishes_within(20'000));
    return reply;
  }
  HttpResponse get(const std::string& path) {
    return begin({"GET", path, "localhost", "", "", "id-1", ""})->response();
  }
  std::shared_ptr<tests::FakeReply> post(const std::string& path, const Json& body) {
    return begin({"POST", path, "localhost", "", "application/json", "id-1", body.dump()});
  }
  int status_of(HttpRequest request) { return begin(std::move(request))->response().status; }
  // An answer that is whole, and fine.
  Json ask(const std::string& path, const Json& body) {
    const HttpResponse response = post(path, body)->response();
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body);
  }
  // Greedy, of the prompt as it is.
  GenerateResult here(const std::string& prompt, std::int64_t max_tokens) const {
    GenerateRequest request;
    request.max_tokens = max_tokens;
    request.prompt_ids = *demo_->tokenizer->encode(prompt);
    base::StopToken stop;
    auto pipeline = LocalPipeline::create(*demo_, 1024, stop);
    return *generate(**pipeline, *demo_, request, stop);
  }

  absl::Status broken;

 private:
  static std::optional<model::chat::ChatTemplate> template_if(bool wanted) {
    if (!wanted) return std::nullopt;
    return model::chat::ChatTemplate::load(demo_folder()).value();
  }

  const std::unique_ptr<UserModel> demo_ = load_demo(1);
  Engine engine_;
  Gateway gateway_;
};

}  // namespace shoal::client
