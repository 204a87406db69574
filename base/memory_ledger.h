// SPDX-License-Identifier: Apache-2.0
// What the nodes of one user on this machine have reserved of its memory, told to each other: a
// small file for each node in a folder of the user's, locked for as long as the node lives. What is
// not touched yet, and what is mapped from files, no counter of the system shows as taken. A ledger
// belongs to one thread at a time; several may be in one process.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::base {

// What one node keeps for itself. Pools: where memory comes from that several share, "host" and
// the control groups that have a limit (base/control_groups.h); a device's own memory.
struct MemoryClaim {
  std::uint64_t mapped_bytes = 0;                  // of files: never counted as used by the system
  std::uint64_t own_bytes = 0;                     // counted as used as soon as it is touched
  std::map<std::string, std::uint64_t> devices{};  // until the device counts it as used
};

inline constexpr const char* kHostPool = "host";
std::string device_pool(const std::string& device);

// A claim with its process, as it stands in a file. Total both ways.
struct MemoryEntry {
  std::int64_t process = 0;
  std::uint64_t started =
      0;  // /proc/PID/stat, so that another process of this number is told apart
  MemoryClaim claim;
  std::vector<std::string> pools;
};
std::string entry_text(const MemoryEntry& entry);
absl::StatusOr<MemoryEntry> parse_entry(std::string_view text);

// What is promised and does not show yet, by pool.
struct PromisedMemory {
  std::map<std::string, std::uint64_t> pools;
  std::uint64_t own = 0;           // of it, this ledger's
  std::vector<std::string> notes;  // files that were ignored, one line each
  std::uint64_t of(const std::string& pool) const;
};

class MemoryLedger {
 public:
  // Nobody else looks or claims while it lives.
  class Turn {
   public:
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    friend class MemoryLedger;
    explicit Turn(int file) : file_(file) {}
    int file_;
  };

  // $XDG_RUNTIME_DIR/shoal/memory, /run/user/UID/shoal/memory or /tmp/shoal-UID/memory, the first
  // whose beginning is there.
  static std::filesystem::path default_folder();
  // Makes the folder, for this user alone. PERMISSION_DENIED when it is somebody else's. `root`:
  // "/" or a test's copy of a machine, where /proc and the control groups are read.
  static absl::StatusOr<std::unique_ptr<MemoryLedger>> open(const std::filesystem::path& folder,
                                                            const std::filesystem::path& root);
  ~MemoryLedger();  // what it claimed is free again
  MemoryLedger(const MemoryLedger&) = delete;
  MemoryLedger& operator=(const MemoryLedger&) = delete;

  // DEADLINE_EXCEEDED: another node takes its time.
  absl::StatusOr<Turn> take_turn(std::chrono::milliseconds most);
  // Of the others; with_own: and ours. Entries of processes that are gone are removed.
  PromisedMemory promised(const Turn& turn, bool with_own) const;
  // In place of what was claimed before.
  absl::Status claim(const Turn& turn, const MemoryClaim& claim);

 private:
  MemoryLedger(std::filesystem::path folder, std::filesystem::path root, int directory);

  const std::filesystem::path folder_;
  const std::filesystem::path root_;
  const int directory_;
  std::string name_;  // of our entry; empty before the first claim
  int file_ = -1;     // locked
};

}  // namespace shoal::base
