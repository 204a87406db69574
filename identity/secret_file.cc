// SPDX-License-Identifier: Apache-2.0
#include "identity/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "identity/random.h"
#include "proto/types.h"

namespace shoal::identity {
namespace {

constexpr std::size_t kMaxSecretFileBytes = 4096;  // a key and some white space

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string text_of(std::string_view view) { return std::string(view); }

absl::Status failed(std::string_view what, const std::string& path, const char* action, int error) {
  const std::string message = absl::StrCat("cannot ", action, " the ", text_of(what), " file ",
                                           path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(absl::StrCat(message, "; check the path"));
  if (error == EEXIST) {
    return absl::AlreadyExistsError(
        absl::StrCat(message, "; it is never overwritten: choose another name or remove it first"));
  }
  if (error == EACCES || error == EPERM || error == EROFS) {
    return absl::PermissionDeniedError(
        absl::StrCat(message, "; choose a path that this user may use"));
  }
  if (error == ENOSPC || error == EDQUOT) {
    return absl::UnavailableError(
        absl::StrCat(message, "; make room there, or choose a path on another disk"));
  }
  return absl::UnavailableError(message);
}

bool write_all(int fd, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t n = ::write(fd, contents.data(), contents.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    contents.remove_prefix(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void sync_folder(const std::string& path) {
  const Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0)
    ::fsync(folder.get());  // some file systems refuse this: nothing to do then
}

}  // namespace

absl::StatusOr<std::string> read_secret_file(const std::string& path, std::string_view what) {
  // O_NONBLOCK: opening a FIFO must not hang.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return failed(what, path, "open", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed(what, path, "examine", errno);
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("the ", text_of(what), " file ", path,
                                                   " is not a regular file: choose another path"));
  }
  if ((info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("other users can reach the ", text_of(what),
                                                    " file ", path, ": run  chmod 600 ", path));
  }
  std::string contents(kMaxSecretFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < contents.size()) {
    const ssize_t n = ::read(file.get(), contents.data() + size, contents.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(what, path, "read", errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > kMaxSecretFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is too long to be a ", text_of(what), " file: check the path"));
  }
  contents.resize(size);
  return contents;
}

absl::Status create_secret_file(const std::string& path, std::string_view what,
                                std::string_view contents) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return failed(what, path, "create", EEXIST);
  // The whole contents go into a private name first; link() then publishes it at once, or fails if
  // somebody was faster.
  Random random = Random::from_system();
  const auto suffix = random.bytes<8>();
  const std::string temporary = absl::StrCat(path, ".", proto::hex(suffix), ".tmp");
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return failed(what, path, "create", errno);
    if (::fchmod(file.get(), 0600) != 0 || !write_all(file.get(), contents)) {
      const int error = errno;
      ::unlink(temporary.c_str());
      return failed(what, path, "write", error);
    }
  }
  int error = ::link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  if (error == EPERM || error == EOPNOTSUPP ||
      error == ENOSYS) {  // a file system without hard links
    error = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0
                ? 0
                : errno;
  }
  ::unlink(temporary.c_str());
  if (error != 0) return failed(what, path, "create", error);
  sync_folder(path);
  return absl::OkStatus();
}

}  // namespace shoal::identity
