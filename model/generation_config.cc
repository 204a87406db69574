// SPDX-License-Identifier: Apache-2.0
#include "model/generation_config.h"

#include <limits>

#include "model/json_fields.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxBytes = 1u << 20;
constexpr std::int64_t kMaxTokens = std::numeric_limits<std::int32_t>::max();

}  // namespace

absl::StatusOr<GenerationConfig> load_generation_config(const std::string& directory) {
  const std::string path = directory + "/generation_config.json";
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) return GenerationConfig{};
  if (!text.ok()) return text.status();
  const absl::StatusOr<nlohmann::json> object = parse_json_object(*text, path);
  if (!object.ok()) return object.status();

  JsonFields fields(*object, path);
  GenerationConfig config;
  config.do_sample = fields.boolean("do_sample", false);
  config.temperature = fields.number("temperature", 0.0, 100.0, 1.0);
  // -1 is another habit of writing "off".
  config.top_k = fields.integer("top_k", -1, kMaxTokens, 0);
  if (config.top_k < 0) config.top_k = 0;
  config.top_p = fields.number("top_p", 0.0, 1.0, 1.0);
  config.min_p = fields.number("min_p", 0.0, 1.0, 0.0);
  config.repetition_penalty = fields.number("repetition_penalty", 1e-3, 1e3, 1.0);
  if (fields.find("max_new_tokens") != nullptr) {
    config.max_new_tokens = fields.integer("max_new_tokens", 1, kMaxTokens);
  }
  config.eos_ids = fields.token_ids("eos_token_id").value_or(std::vector<std::int32_t>{});
  if (!fields.status().ok()) return fields.status();
  return config;
}

}  // namespace shoal::model
