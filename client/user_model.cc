// SPDX-License-Identifier: Apache-2.0
#include "client/user_model.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/model_digest.h"

namespace shoal::client {
namespace {

using Json = nlohmann::json;

// tokenizer_config.json's eos_token: a text, or an object with the text as "content". The file is
// optional, and it only ever adds a way to stop, so anything unexpected in it counts as nothing.
std::vector<std::int32_t> tokenizer_eos(const std::string& directory,
                                        const model::Tokenizer& tokenizer) {
  std::ifstream file(directory + "/tokenizer_config.json");
  const Json config = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || !config.contains("eos_token")) return {};
  const Json& token = config["eos_token"];
  const Json& text = token.is_object() && token.contains("content") ? token["content"] : token;
  if (!text.is_string()) return {};
  const auto id = tokenizer.id_of(text.get<std::string>());
  return id ? std::vector<std::int32_t>{*id} : std::vector<std::int32_t>{};
}

absl::StatusOr<proto::Digest> digest_of(const model::ModelConfig& config,
                                        const model::Checkpoint& checkpoint) {
  auto digest = model::model_digest(config, checkpoint);
  if (!digest.ok()) return digest.status();
  proto::Digest result;
  result.bytes = *digest;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           int threads) {
  auto result = std::make_unique<UserModel>();
  result->directory = directory;

  auto config = model::load_config(directory);
  if (!config.ok()) return config.status();
  result->config = *std::move(config);

  auto generation = model::load_generation_config(directory);
  if (!generation.ok()) return generation.status();
  result->generation = *std::move(generation);

  auto tokenizer = model::Tokenizer::load(directory);
  if (!tokenizer.ok()) return tokenizer.status();
  result->tokenizer = std::make_unique<model::Tokenizer>(*std::move(tokenizer));

  auto checkpoint = model::Checkpoint::open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  result->checkpoint = std::make_unique<model::Checkpoint>(*std::move(checkpoint));

  auto digest = digest_of(result->config, *result->checkpoint);
  if (!digest.ok()) return digest.status();
  result->digest = *digest;

  result->executor = kernels::Executor::cpu(threads);
  auto ends = model::ModelEnds::load(result->config, *result->checkpoint, *result->executor);
  if (!ends.ok()) return ends.status();
  result->ends = std::make_unique<model::ModelEnds>(*std::move(ends));

  if (auto intact = result->checkpoint->check_all(); !intact.ok()) return intact;

  std::vector<std::int32_t>& eos = result->eos_ids;
  eos = result->config.eos_ids;
  eos.insert(eos.end(), result->generation.eos_ids.begin(), result->generation.eos_ids.end());
  const auto from_tokenizer = tokenizer_eos(directory, *result->tokenizer);
  eos.insert(eos.end(), from_tokenizer.begin(), from_tokenizer.end());
  std::sort(eos.begin(), eos.end());
  eos.erase(std::unique(eos.begin(), eos.end()), eos.end());
  return result;
}

absl::StatusOr<ModelName> name_model(const std::string& directory) {
  auto config = model::load_config(directory);
  if (!config.ok()) return config.status();
  auto checkpoint = model::Checkpoint::open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  auto digest = digest_of(*config, *checkpoint);
  if (!digest.ok()) return digest.status();
  return ModelName{*digest, static_cast<std::uint32_t>(config->block_count)};
}

}  // namespace shoal::client
