// SPDX-License-Identifier: Apache-2.0
#include "model/whole_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMostAtOnce = 64u << 20;

// 0, or errno.
int write_part(int file, std::span<const std::byte> part) {
  while (!part.empty()) {
    const ssize_t count = ::write(file, part.data(), std::min(part.size(), kMostAtOnce));
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) part = part.subspan(static_cast<std::size_t>(count));
  }
  return 0;
}

}  // namespace

absl::Status write_whole_file(const std::string& path,
                              std::span<const std::span<const std::byte>> parts) {
  const auto failed = [&](int error) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot be written: ", std::strerror(error)));
  };
  const std::filesystem::path target(path);
  std::string made =
      (target.parent_path() / absl::StrCat(".", target.filename().string(), ".XXXXXX")).string();
  const int file = ::mkostemp(made.data(), O_CLOEXEC);
  if (file < 0) return failed(errno);
  ::flock(file, LOCK_EX | LOCK_NB);  // whoever tidies up sees that it is being written
  int error = ::fchmod(file, 0644) == 0 ? 0 : errno;
  for (const std::span<const std::byte> part : parts) {
    if (error == 0) error = write_part(file, part);
  }
  if (error == 0 && ::fsync(file) != 0) error = errno;
  if (error == 0 && std::rename(made.c_str(), path.c_str()) != 0) error = errno;
  ::close(file);
  if (error == 0) return absl::OkStatus();
  ::unlink(made.c_str());
  return failed(error);
}

}  // namespace shoal::model
