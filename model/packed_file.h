// SPDX-License-Identifier: Apache-2.0
// A file of one block's packed weights: a page with a header, then the packed matrices, one behind
// the other, each from a multiple of 64 bytes on. It is mapped, held against its checksum once, and
// then read where it is. Immutable, may be shared between threads. Format: packed_file.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "model/file_work.h"
#include "model/mapped_file.h"
#include "model/sha256.h"

namespace shoal::model {

// Of matrices that are packed: their bytes in a file, with those that fill up.
constexpr std::size_t filled_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

class PackedFile {
 public:
  // The file of this key and size, read through. NOT_FOUND: there is none. DATA_LOSS: it is
  // damaged, or something else. CANCELLED: `done` said so.
  static absl::StatusOr<PackedFile> open(const std::string& path, const Sha256Digest& key,
                                         std::uint64_t bytes, const PieceDone& done);
  // Whole or not at all.
  static absl::Status write(const std::string& path, const Sha256Digest& key,
                            std::span<const std::span<const std::byte>> matrices);

  std::span<const std::byte> matrices() const;
  std::size_t file_bytes() const { return file_.size(); }
  // As MappedFile::check(); DATA_LOSS.
  absl::Status check() const;

 private:
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
};

}  // namespace shoal::model
