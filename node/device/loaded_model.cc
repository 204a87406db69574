// SPDX-License-Identifier: Apache-2.0
#include "node/device/loaded_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "model/memory_needs.h"
#include "model/wanted.h"
#include "model/weight_check.h"
#include "node/device/scheduler.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

std::string folder_name(const std::string& directory) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::weakly_canonical(directory, ignored);
  const std::string name = path.filename().string();
  return name.empty() ? "model" : name;
}

std::vector<proto::Span> held_spans(const model::ModelConfig& config,
                                    const model::WeightFiles& files, bool to_come) {
  // Of a whole folder, what is wrong with a block is said when it is loaded.
  if (files.is_whole() || to_come) return {{0, static_cast<proto::BlockIndex>(config.block_count)}};
  std::vector<proto::Span> spans;
  for (const auto& [begin, end] : model::held_blocks(config, files)) {
    spans.push_back({static_cast<proto::BlockIndex>(begin), static_cast<proto::BlockIndex>(end)});
  }
  return spans;
}

std::string spans_text(const std::vector<proto::Span>& spans) {
  std::string text;
  for (const proto::Span& span : spans) {
    text += (text.empty() ? "" : ", ") + proto::to_string(span);
  }
  return text;
}

void take(model::NamedManifest named, LoadedModel& model) {
  model.digest.bytes = named.digest;
  model.manifest = std::make_shared<const std::string>(std::move(named.bytes));
  model::learn(model.files, named.manifest);
  model.contents = model::contents_of(model.files, named.manifest);
  model.warnings.insert(model.warnings.end(), named.warnings.begin(), named.warnings.end());
}

}  // namespace

absl::StatusOr<LoadedModel> LoadedModel::open(const std::string& directory, std::string name,
                                              const KeptAs& kept, const model::FileWork& work,
                                              bool to_come) {
  auto result = read(directory, std::move(name), kept, to_come);
  if (!result.ok()) return result.status();
  auto manifest = model::folder_manifest(result->config, result->files, work);
  if (!manifest.ok()) return manifest.status();
  if (absl::Status intact = result->checkpoint.check_all(); !intact.ok()) return intact;
  if (*manifest) take(**std::move(manifest), *result);
  return result;
}

absl::StatusOr<LoadedModel> LoadedModel::read(const std::string& directory, std::string name,
                                              const KeptAs& kept, bool to_come) {
  auto config = model::load_config(directory);
  if (!config.ok()) return config.status();
  auto files = model::read_weight_files(directory);
  if (!files.ok()) return files.status();
  auto checkpoint = model::Checkpoint::open_held(*files);
  if (!checkpoint.ok()) return checkpoint.status();
  if (config->block_count > proto::kMaxModelBlocks || config->hidden > proto::kMaxHidden) {
    return absl::UnimplementedError(fmt::format(
        "{} has {} blocks of width {}; a swarm serves models of at most {} blocks of width {}",
        directory, config->block_count, config->hidden, proto::kMaxModelBlocks, proto::kMaxHidden));
  }
  const auto weights = model::check_weights(*config, *checkpoint);
  if (!weights.ok()) return weights.status();
  if (kept.weights == model::WeightChoice::kMma) {
    absl::Status taken = model::check_mma(*config, *checkpoint);
    if (!taken.ok()) return taken;
  }
  std::vector<std::string> warnings = config->warnings;
  for (const auto& more : {checkpoint->warnings(), *weights}) {
    warnings.insert(warnings.end(), more.begin(), more.end());
  }
  std::vector<proto::Span> held = held_spans(*config, *files, to_come);
  if (held.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{} holds no complete block of the model, it lacks {}: fetch the files of the "
                    "blocks that are to be served",
                    directory, files->missing()));
  }
  LoadedModel result{.name = name.empty() ? folder_name(directory) : std::move(name),
                     .config = std::move(*config),
                     .files = std::move(*files),
                     .checkpoint = std::move(*checkpoint),
                     .held = std::move(held),
                     .manifest = nullptr,
                     .digest = {},
                     .kept = {},
                     .needs = {},
                     .warnings = std::move(warnings),
                     .numerics = {},
                     .hashes = {},
                     .contents = {}};
  result.keep_as(kept);
  return result;
}

model::MemoryNeeds LoadedModel::needs_as(const KeptAs& formats) const {
  return model::memory_needs(config, checkpoint, most_rows(SchedulerLimits()), formats.kv,
                             formats.weights);
}

namespace {

proto::Compute compute_of(const KeptAs& kept) {
  if (model::is_portable(kept.weights)) return proto::Compute::kI8;
  if (kept.weights != model::WeightChoice::kMma) return proto::Compute::kF32;
  switch (kept.mma) {
    case kernels::MmaKind::kMma8:
      return proto::Compute::kMma8;
    case kernels::MmaKind::kMma9:
      return proto::Compute::kMma9;
    case kernels::MmaKind::kNone:  // the device is not open yet
      break;
  }
  return proto::Compute::kUnknown;
}

}  // namespace

void LoadedModel::keep_as(const KeptAs& formats) {
  kept = formats;
  needs = needs_as(formats);
  numerics = {compute_of(formats),
              proto::weight_format_of(model::is_portable(formats.weights)
                                          ? model::name_of(formats.weights)
                                          : model::stored_type(config, checkpoint)),
              proto::kv_format_of(kernels::kv_dtype_name(formats.kv))};
}

absl::Status LoadedModel::adopt(const proto::Digest& told, const std::string& bytes,
                                const model::FileWork& work) {
  auto named = model::adopt_manifest(config, files, bytes, told.bytes, hashes, work);
  if (!named.ok()) return named.status();
  take(*std::move(named), *this);
  return absl::OkStatus();
}

absl::Status LoadedModel::check_held(proto::Span span) const {
  for (const proto::Span& run : held) {
    if (run.begin <= span.begin && span.end <= run.end) return absl::OkStatus();
  }
  const auto opened =
      model::Checkpoint::open(files, model::wants_blocks(span.begin, span.end)).status();
  return absl::FailedPreconditionError(
      fmt::format("{} holds blocks {} of {}, not all of {}: {}", files.directory, spans_text(held),
                  config.block_count, proto::to_string(span),
                  opened.ok() ? std::string("tensors are missing")
                              : std::string(opened.message().data(), opened.message().size())));
}

absl::Status LoadedModel::take_folder(const std::string& directory, proto::Span span,
                                      const model::EndParts& ends, const model::FileWork& work) {
  auto opened = open(directory, name, kept, work);
  if (!opened.ok()) return opened.status();
  if (manifest != nullptr && opened->digest != digest) {
    // What the hub or the swarm said that the whole is still holds, or the files say otherwise.
    absl::Status same = opened->adopt(digest, *manifest, work);
    if (!same.ok()) return same;
  }
  if (absl::Status here = opened->check_held(span); !here.ok()) return here;
  *this = *std::move(opened);
  return keep(span, ends);
}

std::vector<std::string> LoadedModel::missing_of(const model::EndParts& parts) const {
  std::vector<std::string> missing = model::tensors_of(parts, config, checkpoint);
  std::erase_if(missing, [&](const std::string& name) {
    const auto found = checkpoint.tensors().find(name);
    return found != checkpoint.tensors().end() && found->second.is_here;
  });
  return missing;
}

absl::Status LoadedModel::keep(proto::Span span, const model::EndParts& ends) {
  auto kept = model::Checkpoint::open(
      files,
      model::wants_blocks(span.begin, span.end, model::tensors_of(ends, config, checkpoint)));
  if (!kept.ok()) return kept.status();
  checkpoint = *std::move(kept);
  return absl::OkStatus();
}

}  // namespace shoal::node
