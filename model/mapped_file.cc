// SPDX-License-Identifier: Apache-2.0
#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/file_guard.h"

namespace shoal::model {

struct MappedFile::Mapping {
  std::string path;
  int file = -1;  // open as long as we are: a file that was renamed or removed may still change
  struct stat opened {};
  std::byte* data = nullptr;
  std::size_t size = 0;
  std::optional<GuardedMapping> guard;

  ~Mapping() {
    guard.reset();
    if (data != nullptr) ::munmap(data, size);
    if (file >= 0) ::close(file);
  }
};

absl::StatusOr<MappedFile> MappedFile::open(const std::string& path) {
  auto mapping = std::make_unique<Mapping>();
  mapping->path = path;
  // O_NONBLOCK: a named pipe in the place of a file must not make us wait.
  mapping->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (mapping->file < 0) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be opened: ", std::strerror(errno),
                     errno == EMFILE ? "; raise the limit (ulimit -n)" : ""));
  }
  struct stat& info = mapping->opened;
  if (::fstat(mapping->file, &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  if (info.st_size > 0) {
    const std::size_t size = static_cast<std::size_t>(info.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, mapping->file, 0);
    if (data == MAP_FAILED) {
      return absl::ResourceExhaustedError(absl::StrCat(
          path, ": cannot be mapped: ", std::strerror(errno),
          errno == ENOMEM ? absl::StrCat("; its ", size >> 20,
                                         " MiB of address space are more than the system grants: "
                                         "raise the limit (ulimit -v)")
                          : ""));
    }
    mapping->data = static_cast<std::byte*>(data);
    mapping->size = size;
    mapping->guard.emplace(mapping->data, size, mapping->path.c_str());
  }
  return MappedFile(std::move(mapping));
}

MappedFile::MappedFile(std::unique_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {}
MappedFile::MappedFile(MappedFile&& other) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept = default;
MappedFile::~MappedFile() = default;

const std::string& MappedFile::path() const { return mapping_->path; }
const std::byte* MappedFile::data() const { return mapping_->data; }
std::size_t MappedFile::size() const { return mapping_->size; }

FileStamp MappedFile::stamp() const {
  const struct stat& info = mapping_->opened;
  return {static_cast<std::uint64_t>(info.st_size),
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(info.st_ino)};
}

absl::Status MappedFile::check() const {
  const struct stat& before = mapping_->opened;
  struct stat now {};
  // The time is set before a write changes the first byte.
  if (::fstat(mapping_->file, &now) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path(), " cannot be read any more: ", std::strerror(errno)));
  }
  if (now.st_size < before.st_size)
    return absl::FailedPreconditionError(
        absl::StrCat(path(), " was truncated while it was in use"));
  if (mapping_->guard && mapping_->guard->is_lost())
    return absl::FailedPreconditionError(
        absl::StrCat(path(), " was truncated while it was in use, or cannot be read any more"));
  if (now.st_size != before.st_size || now.st_mtim.tv_sec != before.st_mtim.tv_sec ||
      now.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
    return absl::FailedPreconditionError(absl::StrCat(path(), " was changed while it was in use"));
  return absl::OkStatus();
}

void MappedFile::release() const {
  if (mapping_->size == 0) return;
  ::madvise(mapping_->data, mapping_->size, MADV_DONTNEED);  // of a file: nothing is lost
}

void MappedFile::note_use() const {
  while (::flock(mapping_->file, LOCK_SH) != 0 && errno == EINTR) {
  }
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW},
                             {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
  ::futimens(mapping_->file, times);
}

bool MappedFile::is_replaced() const {
  struct stat now {};
  if (::stat(path().c_str(), &now) != 0) return errno == ENOENT || errno == ENOTDIR;
  return now.st_dev != mapping_->opened.st_dev || now.st_ino != mapping_->opened.st_ino;
}

}  // namespace shoal::model
