// SPDX-License-Identifier: Apache-2.0
#include "node/control/local_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/memory_ledger.h"

namespace shoal::node {
namespace {

namespace fs = std::filesystem;
using SocketClock = std::chrono::steady_clock;

constexpr int kWaitingOwners = 8;
constexpr std::size_t kMostSockets = 256;  // looked at in a folder

bool fits(const std::string& path) { return path.size() < sizeof(sockaddr_un::sun_path); }

absl::StatusOr<sockaddr_un> unix_address(const std::string& path) {
  if (!fits(path)) {
    return absl::InvalidArgumentError(fmt::format("{} is too long for a socket", path));
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

absl::Status socket_error(const char* doing, const std::string& path) {
  const std::string text = fmt::format("cannot {} {}: {}", doing, path, std::strerror(errno));
  return errno == ECONNREFUSED || errno == ENOENT ? absl::NotFoundError(text)
                                                  : absl::UnavailableError(text);
}

// FNV-1a: the same in every build.
std::uint64_t path_hash(const std::string& path) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// False at the deadline.
bool wait_for_socket(int socket, short events, SocketClock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SocketClock::now());
    if (left.count() <= 0) return false;
    pollfd wanted{socket, events, 0};
    const int ready = poll(&wanted, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (file_ >= 0) ::close(file_);
}
Descriptor::Descriptor(Descriptor&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (file_ >= 0) ::close(file_);
    file_ = std::exchange(other.file_, -1);
  }
  return *this;
}

std::string runtime_folder() { return base::MemoryLedger::default_folder().parent_path(); }

bool is_own_folder(const std::string& folder) {
  struct stat found {};
  return lstat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode) &&
         found.st_uid == geteuid() && (found.st_mode & 022) == 0;
}

std::vector<std::string> socket_paths(const std::string& identity, const std::string& runtime) {
  std::vector<std::string> paths;
  if (identity.empty()) {
    if (!runtime.empty()) paths.push_back(fmt::format("{}/run-{}.sock", runtime, getpid()));
  } else {
    std::error_code error;
    fs::path path = fs::absolute(identity, error).lexically_normal();
    if (error) path = identity;
    const std::string hash = fmt::format("{:016x}", path_hash(path.string()));
    path = path.extension() == ".key" ? path.replace_extension(".sock")
                                      : fs::path(path.string() + ".sock");
    paths.push_back(path.string());
    if (!runtime.empty()) {
      const std::string name = path.stem().string().substr(0, 32);
      paths.push_back(fmt::format("{}/{}-{}.sock", runtime, name, hash));
    }
  }
  std::erase_if(paths, [](const std::string& path) { return !fits(path); });
  return paths;
}

std::vector<std::string> listening_sockets(const std::vector<std::string>& folders) {
  std::vector<std::string> found;
  for (const std::string& folder : folders) {
    std::size_t looked_at = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() != ".sock" || ++looked_at > kMostSockets) continue;
      if (connect_to(entry.path().string()).ok()) found.push_back(entry.path().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

std::optional<FileIdentity> identity_of(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return std::nullopt;
  return FileIdentity{found.st_dev, found.st_ino};
}

absl::StatusOr<Descriptor> listen_on(const std::string& path) {
  const auto address = unix_address(path);
  if (!address.ok()) return address.status();
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open()) return socket_error("make the socket", path);
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (fs::create_directories(folder, error)) chmod(folder.c_str(), 0700);
  if (folder == runtime_folder() && !is_own_folder(folder)) {
    return absl::PermissionDeniedError(fmt::format(
        "{} is not a folder that this user alone may change: remove it", folder.string()));
  }
  ::unlink(path.c_str());
  // Of the socket, before it has a name: at no time is it there for others.
  const bool listening =
      fchmod(socket.get(), 0600) == 0 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) == 0 &&
      ::listen(socket.get(), kWaitingOwners) == 0;
  if (!listening) return socket_error("listen on", path);
  return socket;
}

absl::StatusOr<Descriptor> connect_to(const std::string& path) {
  const auto address = unix_address(path);
  if (!address.ok()) return address.status();
  // A full queue of a local socket is EAGAIN at once: it does not wait.
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open() || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address),
                                  sizeof(*address)) != 0) {
    return socket_error("connect to", path);
  }
  return socket;
}

bool is_own_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

std::optional<std::string> read_line(int socket, std::size_t most_bytes,
                                     SocketClock::time_point deadline) {
  std::string text;
  std::array<char, 4096> piece{};
  while (text.size() <= most_bytes && wait_for_socket(socket, POLLIN, deadline)) {
    const ssize_t got = ::recv(socket, piece.data(), piece.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return std::nullopt;
    text.append(piece.data(), static_cast<std::size_t>(got));
    const std::size_t end = text.find('\n');
    if (end == std::string::npos) continue;
    return end <= most_bytes ? std::optional(text.substr(0, end)) : std::nullopt;
  }
  return std::nullopt;
}

bool send_all(int socket, std::string_view text, SocketClock::time_point deadline) {
  while (!text.empty()) {
    if (!wait_for_socket(socket, POLLOUT, deadline)) return false;
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace shoal::node
