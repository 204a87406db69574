// SPDX-License-Identifier: Apache-2.0
#include "node/identity_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace shoal::node {
namespace {

// On one machine, with identities that nobody named.
constexpr int kMostNodes = 64;

}  // namespace

std::string state_folder() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::string(state) + "/shoal";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::string(home) + "/.local/state/shoal";
  }
  return {};
}

absl::StatusOr<IdentityFile> IdentityFile::open(const std::string& path) {
  auto identity = identity::Identity::load_or_create(path);
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

IdentityFile IdentityFile::open_default(const std::string& name,
                                        const std::vector<proto::PeerId>& taken) {
  const std::filesystem::path folder = state_folder();
  std::string why = "there is no home folder to keep one in";
  if (!folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    for (int number = 1; number <= kMostNodes; ++number) {
      const std::string file = number == 1 ? name + ".key" : fmt::format("{}-{}.key", name, number);
      auto opened = open((folder / file).string());
      if (!opened.ok()) {
        why = std::string(opened.status().message().data(), opened.status().message().size());
        if (absl::IsAlreadyExists(opened.status())) continue;  // in use: the next one
        break;
      }
      if (std::find(taken.begin(), taken.end(), opened->identity().peer_id()) == taken.end())
        return std::move(*opened);
      why = fmt::format("nodes elsewhere use those of {}", folder.string());
    }
  }
  spdlog::warn("using a new identity for this run only: {}", why);
  return IdentityFile(identity::Identity::generate(), {}, -1);
}

IdentityFile::IdentityFile(IdentityFile&& other) noexcept
    : identity_(other.identity_),
      path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)) {}

IdentityFile& IdentityFile::operator=(IdentityFile&& other) noexcept {
  identity_ = other.identity_;
  path_ = std::move(other.path_);
  if (lock_ >= 0) ::close(lock_);
  lock_ = std::exchange(other.lock_, -1);
  return *this;
}

std::string IdentityFile::beside(const char* extension) const {
  if (path_.empty()) return {};
  std::filesystem::path path(path_);
  if (path.extension() != ".key") return path_ + extension;
  return path.replace_extension(extension).string();
}

std::string IdentityFile::contacts_path() const { return beside(".contacts"); }
std::string IdentityFile::account_path() const { return beside(".account"); }

IdentityFile::~IdentityFile() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace shoal::node
