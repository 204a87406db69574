// SPDX-License-Identifier: Apache-2.0
// What a client needs of a model folder: configuration, tokenizer, and the tensors before the first
// and after the last block. One caller at a time, until share_ends().
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/text/named_model.h"
#include "client/text/shared_ends.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/generation_config.h"
#include "model/model_ends.h"
#include "model/tokenizer.h"

namespace shoal::client {

struct UserModel : NamedModel {
  model::GenerationConfig generation;
  std::unique_ptr<kernels::Executor> executor;
  std::unique_ptr<model::Checkpoint> checkpoint;  // null with the ends
  std::unique_ptr<model::Tokenizer> tokenizer;
  std::unique_ptr<model::ModelEnds> ends;  // null: has_ends()
  std::vector<std::int32_t> eos_ids;       // of config, generation config and tokenizer; sorted

  UserModel() = default;
  UserModel(const UserModel&) = delete;  // the ends point into it
  UserModel& operator=(const UserModel&) = delete;

  // From here on many threads may embed and ask for logits; the head stays as it is.
  void share_ends() { shared_ = std::make_unique<SharedEnds>(*ends, hidden(), vocabulary()); }
  const SharedEnds* shared_ends() const { return shared_.get(); }  // null: one caller
  // As ModelEnds.
  absl::StatusOr<std::vector<float>> embed(std::span<const std::int32_t> ids) const {
    return shared_ ? shared_->embed(ids) : ends->embed(ids);
  }
  void final_norm(std::span<const float> rows, std::span<float> normed) const {
    shared_ ? shared_->final_norm(rows, normed) : ends->final_norm(rows, normed);
  }
  void logits(std::span<const float> rows, std::span<float> logits) const {
    shared_ ? shared_->logits(rows, logits) : ends->logits(rows, logits);
  }

  // Else it has no weights here: nodes compute its ends.
  bool has_ends() const { return ends != nullptr; }

  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden); }
  std::size_t vocabulary() const { return static_cast<std::size_t>(config.vocabulary); }

 private:
  std::unique_ptr<SharedEnds> shared_;
};

struct UserModelOptions {
  int threads = 0;  // 0 means one per core
  // The blocks too, to run them in this process; else only the files of the ends are opened, and
  // others may be missing.
  bool with_blocks = false;
  // Else configuration, tokenizer and defaults only: the folder may have no weights at all.
  bool with_ends = true;
  // The digest too, which only a swarm asks for.
  bool with_name = true;
  model::FileWork work = {};
};
absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           const UserModelOptions& options);
// All of a whole model.
absl::StatusOr<std::unique_ptr<UserModel>> load_user_model(const std::string& directory,
                                                           int threads);

// To stderr, a line each; without the first ones.
void print_warnings(const NamedModel& model, std::size_t told_before = 0);

}  // namespace shoal::client
