// SPDX-License-Identifier: Apache-2.0
#include "model/hub/cache_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/awaited.h"
#include "model/hub/cache.h"

namespace shoal::model::hub {

absl::StatusOr<CacheLock> CacheLock::take(const std::string& path, const base::StopToken& stop,
                                          const std::function<void()>& on_wait) {
  if (auto made = make_folders(std::filesystem::path(path).parent_path().string()); !made.ok()) {
    return made;
  }
  const auto failed = [&](int error) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be locked: ", std::strerror(error)));
  };
  bool told = false;
  while (true) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    if (file < 0) return failed(errno);
    CacheLock lock(file);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) {
      // Whoever had it may have removed the file: then what we locked is nobody's lock any more.
      struct stat here {
      }, there{};
      if (::fstat(file, &here) == 0 && ::stat(path.c_str(), &there) == 0 &&
          here.st_ino == there.st_ino) {
        return lock;
      }
      continue;
    }
    if (errno == ENOTSUP || errno == ENOLCK) return lock;  // no locks here: as without
    if (errno != EWOULDBLOCK && errno != EINTR) return failed(errno);
    if (!std::exchange(told, true) && on_wait) on_wait();
    if (!base::sleep_for(base::kStopPoll, stop)) return stop.status();
  }
}

CacheLock::CacheLock(CacheLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

CacheLock::~CacheLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace shoal::model::hub
