// SPDX-License-Identifier: Apache-2.0
#include "node/identity_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "identity/sodium.h"

namespace shoal::node {
namespace {

// On one machine, with identities that nobody named.
constexpr int kMostNodes = 64;
// A node that hands over leaves its port within a moment, whatever its sessions do.
constexpr auto kHandOver = std::chrono::seconds(30);

// Beside the lock that keeps others out, one that tells them who has it: the system names the
// process in both directions of a container, and forgets it with the process.
void tell_holder(int file) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  [[maybe_unused]] const int told = fcntl(file, F_SETLK, &lock);
}

// 0: nobody who tells it.
pid_t holder_of(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool asked = fcntl(file, F_GETLK, &lock) == 0;
  ::close(file);
  return asked && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

std::string file_name(const std::string& name, int number) {
  return number == 1 ? name + ".key" : fmt::format("{}-{}.key", name, number);
}

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
  tell_holder(file);
  return IdentityFile(*identity, path, file);
}

absl::StatusOr<IdentityFile> IdentityFile::take_over(const std::string& path,
                                                     const base::StopToken& stop) {
  auto opened = open(path);
  if (!absl::IsAlreadyExists(opened.status())) return opened;
  const pid_t holder = holder_of(path);
  if (holder <= 0 || kill(holder, SIGUSR1) != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "cannot ask the node that uses {} to hand over: stop it, and start this one without "
        "--take-over",
        path));
  }
  spdlog::info("asked the node of process {} to hand over", holder);
  const auto deadline = std::chrono::steady_clock::now() + kHandOver;
  while (absl::IsAlreadyExists(opened.status())) {
    if (stop.stopped()) return stop.status();
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::DeadlineExceededError(fmt::format(
          "the node of process {} did not hand over within {} s: stop it, and start this one "
          "without --take-over",
          holder, kHandOver.count()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    opened = open(path);
  }
  return opened;
}

absl::StatusOr<IdentityFile> IdentityFile::take_over_default(const std::string& name,
                                                             const base::StopToken& stop) {
  std::vector<std::string> used;
  const std::filesystem::path folder = state_folder();
  for (int number = 1; number <= kMostNodes && !folder.empty(); ++number) {
    const std::string path = (folder / file_name(name, number)).string();
    if (holder_of(path) > 0) used.push_back(path);
  }
  if (used.empty()) return open_default(name);
  if (used.size() == 1) return take_over(used.front(), stop);
  return absl::FailedPreconditionError(
      fmt::format("{} nodes of this user run here ({}): say with --identity FILE whose place "
                  "--take-over is to take",
                  used.size(), fmt::join(used, ", ")));
}

IdentityFile IdentityFile::open_default(const std::string& name,
                                        const std::vector<proto::PeerId>& taken) {
  const std::filesystem::path folder = state_folder();
  std::string why = "there is no home folder to keep one in; name a key file with --identity";
  if (!folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      why = fmt::format("cannot make the folder {}: {}; name a key file with --identity",
                        folder.string(), error.message());
    }
    for (int number = 1; !error && number <= kMostNodes; ++number) {
      auto opened = open((folder / file_name(name, number)).string());
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

std::string IdentityFile::beside(const std::string& extension) const {
  if (path_.empty()) return {};
  std::filesystem::path path(path_);
  if (path.extension() == ".key") path.replace_extension();
  return path.string() + extension;
}

std::string IdentityFile::contacts_path(std::vector<std::string> join_names) const {
  if (join_names.empty()) return beside(".contacts");
  std::ranges::sort(join_names);
  const auto hash = identity::sha256(fmt::format("{}", fmt::join(join_names, " ")));
  return beside(fmt::format("-{:02x}.contacts", fmt::join(hash.begin(), hash.begin() + 4, "")));
}
std::string IdentityFile::account_path() const { return beside(".account"); }

void IdentityFile::release() {
  if (lock_ >= 0) ::close(std::exchange(lock_, -1));
}

IdentityFile::~IdentityFile() { release(); }

}  // namespace shoal::node
