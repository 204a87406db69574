// SPDX-License-Identifier: Apache-2.0
// The unix sockets of this machine's nodes: where they lie, and one question over one. Blocking,
// with deadlines; any thread. A socket lies beside the identity ("NAME.key" has "NAME.sock"), or,
// where its path would be too long or no socket can be made, in the user's runtime folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::node {

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int file = -1) : file_(file) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return file_; }
  bool open() const { return file_ >= 0; }

 private:
  int file_;
};

// Where the memory ledger is too: $XDG_RUNTIME_DIR/shoal, /run/user/UID/shoal or /tmp/shoal-UID.
std::string runtime_folder();
// Whether nobody but this user may put anything there: in /tmp anybody may have made it before.
bool is_own_folder(const std::string& folder);
// Where the socket of this identity may lie, best first. An identity of one run only (an empty
// path) is told apart by its process.
std::vector<std::string> socket_paths(const std::string& identity, const std::string& runtime);
// "*.sock" of these folders that somebody listens on.
std::vector<std::string> listening_sockets(const std::vector<std::string>& folders);

// What a file is, whatever its name leads to by now.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const FileIdentity&) const = default;
};
std::optional<FileIdentity> identity_of(const std::string& path);

// Mode 0600. What lies there is removed: only who holds the identity calls this. PERMISSION_DENIED
// in a runtime folder that is somebody else's.
absl::StatusOr<Descriptor> listen_on(const std::string& path);
absl::StatusOr<Descriptor> connect_to(const std::string& path);

// Whether the other end is of our user, or root.
bool is_own_user(int socket);
// A line without its newline; nullopt at the deadline, at the end, and when it is longer.
std::optional<std::string> read_line(int socket, std::size_t most_bytes,
                                     std::chrono::steady_clock::time_point deadline);
bool send_all(int socket, std::string_view text, std::chrono::steady_clock::time_point deadline);

}  // namespace shoal::node
