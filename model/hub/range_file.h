// SPDX-License-Identifier: Apache-2.0
// A file that is being fetched in ranges, and the record beside it of which are there
// (model/part_record.h), so that whoever goes on after a crash begins where this one was: at most
// kUnrecordedBytes are lost when the process is killed, and nothing that was not stored counts
// after the system went down. One thread, and one process by a lock of the caller's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/byte_ranges.h"
#include "model/file_work.h"
#include "model/part_record.h"

namespace shoal::model::hub {

inline constexpr std::uint64_t kUnrecordedBytes = 256 << 10;

class RangeFile {
 public:
  // As it is, if its record speaks of the same size and etag; else a new one, all hole.
  static absl::StatusOr<RangeFile> open(const std::string& path, std::uint64_t size,
                                        const std::string& etag);
  RangeFile(RangeFile&&) noexcept;
  RangeFile& operator=(RangeFile&&) noexcept;
  ~RangeFile();  // what has come is recorded

  const std::string& path() const;
  const PartRecord& record() const;
  absl::Status write(std::uint64_t at, std::string_view bytes);
  absl::StatusOr<std::string> read(ByteRange range) const;  // that is there
  // What another file of the same etag has of `wanted` and this one lacks. The bytes that came so.
  absl::StatusOr<std::uint64_t> take_from(const RangeFile& other, const ByteRanges& wanted);
  // All that has come is on the disk, and the record says so.
  absl::Status store();
  // The same, with a SHA-256 of each range that is there.
  absl::Status store_with_hashes(const FileWork& work);
  // All of it was fetched: it gets its place, whole or not at all, and the record goes.
  absl::Status become(const std::string& path);
  void remove();  // it and its record

 private:
  class Impl;
  explicit RangeFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::model::hub
