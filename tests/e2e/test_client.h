// SPDX-License-Identifier: Apache-2.0
// A client in this process: its own model, identity and connection, as a user's program has. One
// thread at a time.
#pragma once

#include <memory>
#include <string>

#include "base/check.h"
#include "client/ring/swarm_pipeline.h"
#include "client/swarm/swarm_connection.h"
#include "client/text/generate.h"
#include "client/text/local_pipeline.h"
#include "client/text/score.h"
#include "tests/client/golden.h"

namespace shoal::tests {

class TestClient {
 public:
  explicit TestClient(const std::string& address, std::optional<identity::SwarmKey> swarm_key = {})
      : TestClient(client::load_demo(1), address, std::move(swarm_key)) {}
  TestClient(std::unique_ptr<client::UserModel> model, const std::string& address,
             std::optional<identity::SwarmKey> swarm_key = {})
      : model_(std::move(model)) {
    client::JoinOptions options;
    options.peers = {address};
    options.swarm_key = swarm_key;
    auto joined = client::SwarmConnection::join(std::move(options), interrupt_);
    CHECK(joined.ok()) << joined.status();
    swarm_ = *std::move(joined);
  }

  absl::StatusOr<std::unique_ptr<client::SwarmPipeline>> open(
      std::uint32_t positions, const std::vector<std::int32_t>& prompt = {}) {
    client::SwarmPipelineOptions options;
    options.positions = positions;
    options.wait = wait;
    options.remote_ends = remote_ends;
    options.prompt = prompt;
    options.prefix_salt = salt;
    options.on_event = [this](const std::string& text) { told += text + "\n"; };
    return client::SwarmPipeline::create(*model_, *swarm_, options, interrupt_);
  }

  struct Run {
    absl::StatusOr<client::GenerateResult> result;
    client::Route route;
    int reroutes = 0;
    bool exact = true;
    std::int64_t reused = 0;
  };
  // `on_token` gets the pipeline and the number of tokens so far.
  Run generate(const client::GenerateRequest& request,
               const std::function<void(client::Pipeline&, std::size_t)>& on_token = {}) {
    const auto positions = client::positions_needed(request.prompt_ids.size(), request.max_tokens,
                                                    model_->config.max_positions);
    auto pipeline = open(static_cast<std::uint32_t>(positions), request.prompt_ids);
    if (!pipeline.ok()) return {pipeline.status(), {}, 0};
    client::GenerateObserver observer;
    observer.on_step = [&](std::size_t token, const client::StepTiming&, double) {
      if (on_token) on_token(**pipeline, token + 1);
    };
    auto result = client::generate(**pipeline, *model_, request, interrupt_, observer);
    return {std::move(result), (*pipeline)->route(), (*pipeline)->reroutes(), (*pipeline)->exact(),
            (*pipeline)->reused_positions()};
  }

  client::GenerateResult generate_locally(
      const client::GenerateRequest& request,
      model::WeightChoice weights = model::WeightChoice::kStored) {
    const auto positions = client::positions_needed(request.prompt_ids.size(), request.max_tokens,
                                                    model_->config.max_positions);
    auto pipeline =
        client::LocalPipeline::create(*model_, positions, interrupt_, {.weights = weights});
    CHECK(pipeline.ok()) << pipeline.status();
    auto result = client::generate(**pipeline, *model_, request, interrupt_);
    CHECK(result.ok()) << result.status();
    return *std::move(result);
  }

  std::chrono::milliseconds wait{60'000};  // for what is lost
  bool remote_ends = false;                // nodes compute the model's ends
  std::string told;                        // to people, a line each
  std::optional<client::PrefixSalt> salt;  // none: no page is kept for this client

  client::UserModel& model() { return *model_; }
  base::StopToken& interrupt() { return interrupt_; }

 private:
  base::StopToken interrupt_;
  std::unique_ptr<client::UserModel> model_;
  std::unique_ptr<client::SwarmConnection> swarm_;
};

}  // namespace shoal::tests
