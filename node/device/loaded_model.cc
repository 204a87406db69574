// SPDX-License-Identifier: Apache-2.0
#include "node/device/loaded_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "model/memory_needs.h"
#include "model/model_digest.h"
#include "model/weight_check.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

// Of prefill, and of the sessions that decode beside it.
constexpr std::int64_t kBatchRows = 320;

std::string folder_name(const std::string& directory) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::weakly_canonical(directory, ignored);
  const std::string name = path.filename().string();
  return name.empty() ? "model" : name;
}

proto::KvFormat kv_format_of(kernels::DType dtype) {
  switch (dtype) {
    case kernels::DType::kF32:
      return proto::KvFormat::kF32;
    case kernels::DType::kBF16:
      return proto::KvFormat::kBf16;
    case kernels::DType::kF16:
      return proto::KvFormat::kF16;
  }
  return proto::KvFormat::kUnknown;
}

}  // namespace

absl::StatusOr<LoadedModel> LoadedModel::open(const std::string& directory, std::string name,
                                              kernels::DType kv_dtype) {
  auto config = model::load_config(directory);
  if (!config.ok()) return config.status();
  auto checkpoint = model::Checkpoint::open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  if (config->block_count > proto::kMaxModelBlocks || config->hidden > proto::kMaxHidden) {
    return absl::UnimplementedError(fmt::format(
        "{} has {} blocks of width {}; a swarm serves models of at most {} blocks of width {}",
        directory, config->block_count, config->hidden, proto::kMaxModelBlocks, proto::kMaxHidden));
  }
  const auto weights = model::check_weights(*config, *checkpoint);
  if (!weights.ok()) return weights.status();
  std::vector<std::string> warnings = config->warnings;
  for (const auto& more : {checkpoint->warnings(), *weights}) {
    warnings.insert(warnings.end(), more.begin(), more.end());
  }
  const auto digest = model::model_digest(*config, *checkpoint);
  if (!digest.ok()) return digest.status();
  if (absl::Status intact = checkpoint->check_all(); !intact.ok()) return intact;

  const model::MemoryNeeds needs = model::memory_needs(*config, *checkpoint, kBatchRows, kv_dtype);
  const proto::Numerics numerics = {
      proto::Compute::kF32, proto::weight_format_of(model::stored_type(*config, *checkpoint)),
      kv_format_of(kv_dtype)};
  return LoadedModel{.name = name.empty() ? folder_name(directory) : std::move(name),
                     .config = std::move(*config),
                     .checkpoint = std::move(*checkpoint),
                     .digest = proto::Digest{*digest},
                     .needs = needs,
                     .warnings = std::move(warnings),
                     .numerics = numerics};
}

}  // namespace shoal::node
