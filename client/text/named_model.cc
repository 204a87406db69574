// SPDX-License-Identifier: Apache-2.0
#include "client/text/named_model.h"

#include <utility>

namespace shoal::client {
namespace {

void take(const model::NamedManifest& named, NamedModel& model) {
  model.digest.bytes = named.digest;
  model.is_named = true;
  model::learn(model.files, named.manifest);
  model.contents = model::contents_of(model.files, named.manifest);
  model.warnings.insert(model.warnings.end(), named.warnings.begin(), named.warnings.end());
}

}  // namespace

absl::Status NamedModel::name(const model::FileWork& work) {
  auto named = model::folder_manifest(config, files, work);
  if (!named.ok()) return named.status();
  if (*named) take(**named, *this);
  return absl::OkStatus();
}

absl::Status NamedModel::adopt(const proto::Digest& told, const std::string& bytes,
                               const model::FileWork& work) {
  auto named = model::adopt_manifest(config, files, bytes, told.bytes, hashes, work);
  if (!named.ok()) return named.status();
  take(*named, *this);
  return absl::OkStatus();
}

absl::StatusOr<NamedModel> name_model(const std::string& directory, const model::FileWork& work) {
  NamedModel result;
  result.directory = directory;
  auto config = model::load_config(directory);
  if (!config.ok()) return config.status();
  result.config = *std::move(config);
  auto files = model::read_weight_files(directory);
  if (!files.ok()) return files.status();
  result.files = *std::move(files);
  if (auto status = result.name(work); !status.ok()) return status;
  return result;
}

}  // namespace shoal::client
