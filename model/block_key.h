// SPDX-License-Identifier: Apache-2.0
// What a block's packed weights are known by, wherever the model's folder is and whatever it is
// called: the bytes that they were packed from, by the SHA-256 of their file (the manifest has it)
// and their place in it, the format, and the version of what packing makes of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/manifest.h"
#include "model/mapped_file.h"
#include "model/sha256.h"
#include "model/weight_choice.h"
#include "model/weight_files.h"

namespace shoal::model {

// To be raised with every change of what pack_linear writes (kernels/portable.h), of the order of
// the matrices, or of packed_file.cc: tests/model/block_cache_test.cc sees it.
inline constexpr std::uint32_t kPackVersion = 1;

// What is known of a weight file that is here.
struct FileContent {
  Sha256Digest sha256{};
  FileStamp stamp;  // of the file of which that is known
};
using FileContents = std::map<std::string, FileContent>;  // by the names in the folder
FileContents contents_of(const WeightFiles& files, const Manifest& manifest);

// nullopt when the content of a file is not known, or the file that is open is another one by now.
std::optional<Sha256Digest> block_key(const ModelConfig& config, const Checkpoint& checkpoint,
                                      const FileContents& contents, std::int64_t block,
                                      WeightChoice weights);

}  // namespace shoal::model
