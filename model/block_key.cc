// SPDX-License-Identifier: Apache-2.0
#include "model/block_key.h"

#include "absl/strings/str_cat.h"
#include "kernels/portable.h"
#include "model/tensor_list.h"

namespace shoal::model {

FileContents contents_of(const WeightFiles& files, const Manifest& manifest) {
  FileContents contents;
  for (const WeightFile& file : files.files) {
    const ManifestFile* const meant = manifest.find(file.name);
    if (!file.held || meant == nullptr) continue;
    if (!file.part) {
      contents[file.name] = {meant->sha256, file.stamp};
    } else if (const auto content = file.part->content()) {
      // Nobody has proven that these are bytes of that file: so they are known by their own hash.
      contents[file.name] = {*content, file.stamp};
    }
  }
  return contents;
}

std::optional<Sha256Digest> block_key(const ModelConfig& config, const Checkpoint& checkpoint,
                                      const FileContents& contents, std::int64_t block,
                                      WeightChoice weights) {
  std::string text = absl::StrCat("shoal packed block ", kPackVersion, " ", name_of(weights), " ",
                                  kernels::kGroup, "\n");
  for (const WeightSpec& spec : config.block(block).weights) {
    if (spec.is_vector()) continue;
    const std::optional<TensorPlace> place =
        checkpoint.place(block_prefix(config, block) + spec.weight_name());
    if (!place) return std::nullopt;
    const auto content = contents.find(place->file);
    if (content == contents.end() || content->second.stamp != place->stamp) return std::nullopt;
    absl::StrAppend(&text, static_cast<int>(spec.role), " ", place->dtype, " ", spec.rows, " ",
                    spec.cols, " ", to_hex(content->second.sha256), " ", place->begin, "\n");
  }
  const absl::StatusOr<Sha256Digest> key = sha256(text);
  return key.ok() ? std::optional(*key) : std::nullopt;
}

}  // namespace shoal::model
