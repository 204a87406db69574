// SPDX-License-Identifier: Apache-2.0
// What a client needs of a model folder: configuration, tokenizer, and the tensors before the first
// and after the last block. The blocks' tensors are mapped, but not read. One caller at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/generation_config.h"
#include "model/model_ends.h"
#include "model/tokenizer.h"
#include "proto/types.h"

namespace shoal::client {

struct UserModel {
  std::string directory;
  model::ModelConfig config;
  model::GenerationConfig generation;
  std::unique_ptr<kernels::Executor> executor;
  std::unique_ptr<model::Checkpoint> checkpoint;
  std::unique_ptr<model::Tokenizer> tokenizer;
  std::unique_ptr<model::ModelEnds> ends;
  proto::Digest digest;
  std::vector<std::int32_t> eos_ids;  // of config, generation config and tokenizer; sorted
  // One line each: where the folder's files disagree, or ask for what is not done.
  std::vector<std::string> warnings;

  UserModel() = default;
  UserModel(const UserModel&) = delete;  // the ends point into it
  UserModel& operator=(const UserModel&) = delete;

  std::uint32_t block_count() const { return static_cast<std::uint32_t>(config.block_count); }
  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden); }
  std::size_t vocabulary() const { return static_cast<std::size_t>(config.vocabulary); }
};

// threads: 0 means one per core.
absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           int threads);

// To stderr, a line each.
void print_warnings(const UserModel& user_model);

// Configuration and digest alone, for naming a model.
struct ModelName {
  proto::Digest digest;
  std::uint32_t block_count = 0;
};
absl::StatusOr<ModelName> name_model(const std::string& directory);

}  // namespace shoal::client
