// SPDX-License-Identifier: Apache-2.0
// Packed blocks on disk, so that they are packed once: KEY.FORMAT, a file each (packed_file.h), in
// one folder that any number of processes share without knowing of each other. What is found there
// is held against its checksum; what is damaged, foreign or of another version is made anew. A
// cache that cannot be read or written never stops anybody: it is said once. One caller at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_size.h"
#include "model/block_key.h"
#include "model/file_work.h"
#include "model/packed_file.h"
#include "model/sha256.h"
#include "model/weight_choice.h"

namespace shoal::model {

struct CacheOptions {
  std::string directory;  // made when it is missing; empty: there is none
  // Of all files in it; percent: of the disk. Absent: as much as the disk has.
  std::optional<base::MemorySize> limit = base::MemorySize{std::uint64_t{64} << 30, 0};
  std::function<void(const std::string&)> warn = {};  // one line each
};

// As people write it. `directory`: empty for the user's cache folder, "off" for none, else a
// folder. `limit`: empty for the default, "off" for none, else a size (base/memory_size.h) of at
// least a byte. INVALID_ARGUMENT names --cache-limit.
absl::StatusOr<CacheOptions> cache_options(const std::string& directory, const std::string& limit);

struct CachedBlock {
  Sha256Digest key{};
  std::uint64_t bytes = 0;  // of its matrices, filled up
};

class BlockCache {
 public:
  // `contents` say what the model's weight files hold; without one, its blocks are not cached.
  BlockCache(CacheOptions options, FileContents contents);

  const FileContents& contents() const { return contents_; }

  // Of each block that is here, whole, its file; CANCELLED when `work` is stopped.
  absl::StatusOr<std::vector<std::optional<PackedFile>>> find(
      std::span<const std::optional<CachedBlock>> blocks, WeightChoice weights,
      const FileWork& work);
  // Keeps the matrices of a block, dropping others if there is no room; then its file, or nullopt
  // when it could not be kept.
  std::optional<PackedFile> keep(const CachedBlock& block, WeightChoice weights,
                                 std::span<const std::span<const std::byte>> matrices);

 private:
  std::string path(const CachedBlock& block, WeightChoice weights) const;
  // Whether there is room for so many bytes more, by now.
  bool make_room(std::uint64_t needed);
  void give_up(const std::string& why);

  const CacheOptions options_;
  const FileContents contents_;
  bool keeps_ = true;  // until something goes wrong
};

}  // namespace shoal::model
