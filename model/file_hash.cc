// SPDX-License-Identifier: Apache-2.0
// Files to their SHA-256: hash_files of model/sha256.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "model/sha256.h"

namespace shoal::model {
namespace {

constexpr std::size_t kPieceBytes = 1u << 20;

FileStamp stamp_of(const struct stat& info) {
  return {static_cast<std::uint64_t>(info.st_size),
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(info.st_ino)};
}

absl::Status hash_open_file(int file, const std::string& path, const PieceDone& done,
                            HashedFile& result) {
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  result.stamp = stamp_of(info);
  Sha256 hash;
  const std::unique_ptr<char[]> piece(new char[kPieceBytes]);
  while (true) {
    const ssize_t count = ::read(file, piece.get(), kPieceBytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
    }
    if (count == 0) break;
    hash.add(piece.get(), static_cast<std::size_t>(count));
    if (!done(static_cast<std::uint64_t>(count))) return absl::CancelledError("interrupted");
  }
  if (::fstat(file, &info) != 0 || stamp_of(info) != result.stamp) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was changed while it was read: start again when it is complete"));
  }
  const absl::StatusOr<Sha256Digest> digest = hash.finish();
  if (!digest.ok()) return digest.status();
  result.sha256 = *digest;
  return absl::OkStatus();
}

absl::Status hash_file(const std::string& path, const PieceDone& done, HashedFile& result) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
  }
  absl::Status status = hash_open_file(file, path, done, result);
  ::close(file);
  return status;
}

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace

absl::StatusOr<std::vector<HashedFile>> hash_files(const std::vector<std::string>& paths,
                                                   const FileWork& work) {
  std::vector<HashedFile> results(paths.size());
  std::uint64_t all = 0;
  for (const std::string& path : paths) all += size_of(path);
  absl::Status status = work_on_files(
      paths.size(), all, work,
      [&](std::size_t i, const PieceDone& done) { return hash_file(paths[i], done, results[i]); });
  if (!status.ok()) return status;
  return results;
}

}  // namespace shoal::model
