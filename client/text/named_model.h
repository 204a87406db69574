// SPDX-License-Identifier: Apache-2.0
// A model folder and the model's name: its configuration, which of its files are here, and the
// digest of its manifest, if that is known here. One caller at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/block_key.h"
#include "model/config.h"
#include "model/folder_manifest.h"
#include "model/weight_files.h"
#include "proto/types.h"

namespace shoal::client {

struct NamedModel {
  std::string directory;
  model::ModelConfig config;
  model::WeightFiles files;
  // Of parts of a model, nobody may have said yet what the whole is: then it has no digest.
  bool is_named = false;
  proto::Digest digest;
  // One line each: where the folder's files disagree, or ask for what is not done.
  std::vector<std::string> warnings;
  model::FileHashes hashes;      // of the files, as far as adopt() has read them
  model::FileContents contents;  // of the files, where it has a name

  std::uint32_t block_count() const { return static_cast<std::uint32_t>(config.block_count); }

  // From the folder, whose files are read through once; OK also when it does not know the name.
  absl::Status name(const model::FileWork& work);
  // What a stranger says that this model is; FAILED_PRECONDITION when the files say otherwise.
  absl::Status adopt(const proto::Digest& told, const std::string& bytes,
                     const model::FileWork& work);
};

// Configuration, files and name; the weights are left alone.
absl::StatusOr<NamedModel> name_model(const std::string& directory, const model::FileWork& work);

}  // namespace shoal::client
