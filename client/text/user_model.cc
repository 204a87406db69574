// SPDX-License-Identifier: Apache-2.0
#include "client/text/user_model.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/shown.h"
#include "model/wanted.h"
#include "model/weight_check.h"

namespace shoal::client {
namespace {

// What is computed with here, and the name, which the weights decide.
absl::Status read_ends(const UserModelOptions& options, UserModel& model,
                       std::vector<std::string>& warnings) {
  auto checkpoint = options.with_blocks ? model::Checkpoint::open(model.directory)
                                        : model::Checkpoint::open(model.files, model::wants_ends());
  if (!checkpoint.ok()) return checkpoint.status();
  model.checkpoint = std::make_unique<model::Checkpoint>(*std::move(checkpoint));

  const auto weights = model::check_weights(model.config, *model.checkpoint);
  if (!weights.ok()) return weights.status();
  if (options.with_name) {
    if (auto status = model.name(options.work); !status.ok()) return status;
  }

  model.executor = kernels::Executor::cpu(options.threads);
  auto ends = model::ModelEnds::load(model.config, *model.checkpoint, *model.executor);
  if (!ends.ok()) return ends.status();
  model.ends = std::make_unique<model::ModelEnds>(*std::move(ends));

  if (auto intact = model.checkpoint->check_all(); !intact.ok()) return intact;
  for (const auto& more : {model.checkpoint->warnings(), *weights, model.ends->warnings()}) {
    warnings.insert(warnings.end(), more.begin(), more.end());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           int threads) {
  UserModelOptions options;
  options.threads = threads;
  options.with_blocks = true;
  return load_user_model(directory, options);
}

absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           const UserModelOptions& options) {
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

  auto files = model::read_weight_files(directory);
  if (!files.ok() && (options.with_ends || !absl::IsNotFound(files.status()))) {
    return files.status();
  }
  if (files.ok()) result->files = *std::move(files);
  std::vector<std::string> of_weights;  // warnings
  if (options.with_ends) {
    if (auto status = read_ends(options, *result, of_weights); !status.ok()) return status;
  } else if (options.with_name && !result->files.files.empty()) {
    if (auto status = result->name(options.work); !status.ok()) return status;
  }

  std::vector<std::int32_t>& eos = result->eos_ids;
  eos = result->config.eos_ids;
  eos.insert(eos.end(), result->generation.eos_ids.begin(), result->generation.eos_ids.end());
  if (const auto id = result->tokenizer->named_id("eos_token")) eos.push_back(*id);
  std::sort(eos.begin(), eos.end());
  eos.erase(std::unique(eos.begin(), eos.end()), eos.end());

  const auto add = [&](const std::vector<std::string>& warnings) {
    result->warnings.insert(result->warnings.end(), warnings.begin(), warnings.end());
  };
  add(result->config.warnings);
  add(result->generation.warnings);
  add(result->tokenizer->warnings());
  add(of_weights);
  return result;
}

void print_warnings(const NamedModel& model, std::size_t told_before) {
  for (std::size_t i = told_before; i < model.warnings.size(); ++i) {
    std::fprintf(stderr, "shoal: warning: %s\n", cli::printable(model.warnings[i]).c_str());
  }
}

}  // namespace shoal::client
