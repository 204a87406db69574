// SPDX-License-Identifier: Apache-2.0
// The demo model and what a correct implementation must reproduce with it (models/demo/README.md).
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/check.h"
#include "client/text/generate.h"
#include "client/text/user_model.h"
#include "tests/support/temp_dir.h"

namespace shoal::client {

inline std::string demo_folder() { return std::string(SHOAL_SOURCE_DIR) + "/models/demo"; }

inline nlohmann::json read_golden() {
  return nlohmann::json::parse(tests::read_file(demo_folder() + "/golden.json"));
}

inline std::string read_heldout() { return tests::read_file(demo_folder() + "/heldout.txt"); }

inline std::unique_ptr<UserModel> load_demo(int threads = 2) {
  auto model = load_user_model(demo_folder(), threads);
  CHECK(model.ok()) << model.status();
  return *std::move(model);
}

// One of the golden prompts as a request that asks for as many greedy tokens as are known.
inline GenerateRequest golden_request(const nlohmann::json& prompt) {
  GenerateRequest request;
  request.prompt_ids = prompt["prompt_ids"].get<std::vector<std::int32_t>>();
  request.max_tokens = static_cast<std::int64_t>(prompt["greedy_ids"].size());
  request.top_logits = 5;
  return request;
}

// Bit for bit: what two runs of the same request must agree in.
inline bool same_logits(const GenerateResult& a, const GenerateResult& b) {
  if (a.top_logits.size() != b.top_logits.size()) return false;
  for (std::size_t i = 0; i < a.top_logits.size(); ++i) {
    if (a.top_logits[i].size() != b.top_logits[i].size()) return false;
    for (std::size_t j = 0; j < a.top_logits[i].size(); ++j) {
      if (a.top_logits[i][j].id != b.top_logits[i][j].id ||
          a.top_logits[i][j].value != b.top_logits[i][j].value) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace shoal::client
