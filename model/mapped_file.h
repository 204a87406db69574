// SPDX-License-Identifier: Apache-2.0
// A regular file mapped read-only into memory; pages come in when they are touched. Immutable, may
// be shared between threads. The file may change under it all the same: check() tells, see
// model/file_guard.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::model {

// By what a file is known again without reading it: a change of its bytes changes its time, and
// another file in its place has another number.
struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileStamp&) const = default;
};

class MappedFile {
 public:
  static absl::StatusOr<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const;
  const std::byte* data() const;  // null for an empty file
  std::size_t size() const;
  FileStamp stamp() const;  // when it was opened

  // Whether every byte that was read so far was of the file as it was opened. FAILED_PRECONDITION,
  // naming the file: it was truncated, written to, or cannot be read any more; then nothing that
  // was computed from it since the last OK may be used. One system call.
  absl::Status check() const;
  // Lets go of the memory that was read so far; what is touched again is read again.
  void release() const;
  // Tells others that it is in use, as long as this object lives (a shared flock), and when: its
  // time of access becomes now. As far as the system lets us.
  void note_use() const;
  // Another file, or none, has its name by now. The mapping stays what it was.
  bool is_replaced() const;

 private:
  struct Mapping;
  explicit MappedFile(std::unique_ptr<Mapping> mapping);

  std::unique_ptr<Mapping> mapping_;
};

}  // namespace shoal::model
