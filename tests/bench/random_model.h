// SPDX-License-Identifier: Apache-2.0
// Model folders with random bf16 weights of a given shape, so that what is measured is loaded as
// users' models are. The tokenizer, and the vocabulary, are the bundled model's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/bench/geometry.h"
#include "tests/support/temp_dir.h"

namespace shoal::bench {

// Into `directory`, which exists: `blocks` of them, with or without embedding, final norm and
// tokenizer. RESOURCE_EXHAUSTED says how much room is missing where.
absl::Status write_random_model(const std::string& directory, const Geometry& geometry,
                                std::int64_t blocks, bool with_ends);

// A folder of its own, in memory where the system has a file system in memory; removed on
// destruction.
class RandomModel {
 public:
  static absl::StatusOr<RandomModel> make(const Geometry& geometry, std::int64_t blocks,
                                          bool with_ends);

  const std::string& directory() const { return folder_->path(); }

 private:
  explicit RandomModel(std::unique_ptr<tests::TempDir> folder) : folder_(std::move(folder)) {}
  std::unique_ptr<tests::TempDir> folder_;
};

}  // namespace shoal::bench
