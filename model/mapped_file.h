// SPDX-License-Identifier: Apache-2.0
// A regular file mapped read-only into memory; pages come in when they are touched. Immutable, may
// be shared between threads. Like every mapping it takes for granted that nobody truncates the file
// meanwhile.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace shoal::model {

class MappedFile {
 public:
  static absl::StatusOr<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }  // null for an empty file
  std::size_t size() const { return size_; }

 private:
  MappedFile() = default;

  std::string path_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace shoal::model
