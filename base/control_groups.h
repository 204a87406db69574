// SPDX-License-Identifier: Apache-2.0
// The memory limits of the control groups that this process is in: its own and all above it, of
// version 1, 2 or both, as a systemd service, in a container or bare. Reads files below `root`
// ("/", or a test's copy of a machine); no state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::base {

struct GroupLimit {
  std::uint64_t limit_bytes = 0;
  // What counts against the limit and cannot be taken back: without page cache and other memory
  // that the system drops when somebody needs it.
  std::uint64_t used_bytes = 0;
  std::string name;    // for people: "memory.max of the control group /user.slice/a.service"
  std::string pool{};  // which group it is, the same for all processes of the machine

  std::uint64_t left_bytes() const {
    return limit_bytes > used_bytes ? limit_bytes - used_bytes : 0;
  }
};

// Empty when no group has a limit.
std::vector<GroupLimit> group_limits(const std::filesystem::path& root);

// Parts of it, for tests.

struct GroupMount {
  std::string root;   // of the hierarchy, what is mounted there
  std::string point;  // where
  bool version2 = false;
};
// The mounts of the cgroup2 file system and of the memory controller of version 1.
std::vector<GroupMount> group_mounts(std::string_view mountinfo);

struct GroupMembership {
  std::optional<std::string> version2;
  std::optional<std::string> memory1;  // of the memory controller of version 1
};
GroupMembership membership(std::string_view proc_self_cgroup);

// Below the mount point, from the group itself up to the highest one that is visible, "" last: the
// mount point itself. A group that the mount does not show (another namespace) is the mount point.
std::vector<std::string> groups_from(const std::string& mount_root, const std::string& group);

}  // namespace shoal::base
