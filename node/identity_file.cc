// SPDX-License-Identifier: Apache-2.0
#include "node/identity_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

namespace shoal::node {
namespace {

std::filesystem::path state_folder() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::filesystem::path(state) / "shoal";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::filesystem::path(home) / ".local" / "state" / "shoal";
  }
  return {};
}

}  // namespace

absl::StatusOr<IdentityFile> IdentityFile::open(const std::string& path) {
  auto identity = dht::Identity::load_or_create(path);
  if (!identity.ok()) return identity.status();
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (file >= 0) ::close(file);
    return absl::AlreadyExistsError(fmt::format(
        "the identity {} is in use by another running node; give each node its own with --identity",
        path));
  }
  return IdentityFile(*identity, path, file);
}

IdentityFile IdentityFile::open_default(const std::string& name) {
  const std::filesystem::path folder = state_folder();
  std::string why = "there is no home folder to keep one in";
  if (!folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    auto opened = open((folder / name).string());
    if (opened.ok()) return std::move(*opened);
    why = std::string(opened.status().message().data(), opened.status().message().size());
  }
  spdlog::warn("using a new identity for this run only: {}", why);
  return IdentityFile(dht::Identity::generate(), {}, -1);
}

IdentityFile::IdentityFile(IdentityFile&& other) noexcept
    : identity_(other.identity_),
      path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)) {}

std::string IdentityFile::contacts_path() const {
  if (path_.empty()) return {};
  std::filesystem::path path(path_);
  if (path.extension() != ".key") return path_ + ".contacts";
  return path.replace_extension(".contacts").string();
}

IdentityFile::~IdentityFile() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace shoal::node
