// SPDX-License-Identifier: Apache-2.0
#include "base/control_groups.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

namespace shoal::base {
namespace {

namespace fs = std::filesystem;

// Version 1 writes "no limit" as the largest multiple of a page.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;
// These files are lists of short lines; a file from nowhere must not fill memory.
constexpr std::size_t kMaxFileBytes = 4 << 20;

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  for (char piece[4096]; text.size() < kMaxFileBytes;) {
    file.read(piece, sizeof(piece));
    text.append(piece, static_cast<std::size_t>(file.gcount()));
    if (!file) break;
  }
  return text;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(at, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

bool lists(std::string_view comma_separated, std::string_view name) {
  const auto all = split(comma_separated, ',');
  return std::find(all.begin(), all.end(), name) != all.end();
}

// mountinfo writes blanks and backslashes of a path as \ooo.
std::string unescape(std::string_view text) {
  const auto is_digit = [](char c) { return '0' <= c && c <= '7'; };
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_digit(text[i + 1]) && is_digit(text[i + 2]) &&
        is_digit(text[i + 3])) {
      result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                  (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

// nullopt: absent, "max", or so large that it means no limit.
std::optional<std::uint64_t> read_limit(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value && value < kNoLimit) return value;
  return std::nullopt;
}

std::map<std::string, std::uint64_t> read_stat(const fs::path& path) {
  std::map<std::string, std::uint64_t> result;
  const auto text = read_file(path);
  if (!text) return result;
  std::istringstream lines(*text);
  std::string name;
  std::uint64_t value = 0;
  while (lines >> name >> value) result[name] = value;
  return result;
}

std::uint64_t value_of(const std::map<std::string, std::uint64_t>& stat, const char* name) {
  const auto found = stat.find(name);
  return found == stat.end() ? 0 : found->second;
}

std::uint64_t without(std::uint64_t used, std::uint64_t reclaimable) {
  return used - std::min(used, reclaimable);
}

std::string group_name(const GroupMount& mount, const std::string& below) {
  const std::string path = mount.root == "/" ? below : mount.root + below;
  return path.empty() ? "this container" : "the control group " + path;
}

// By its folder's number: containers see the same group under different paths.
std::string pool_of(const fs::path& folder) {
  struct stat found {};
  if (::stat(folder.c_str(), &found) != 0) return "group of " + folder.string();
  return fmt::format("group {}:{}", found.st_dev, found.st_ino);
}

void add_version2(const fs::path& folder, const std::string& group,
                  std::vector<GroupLimit>& result) {
  const auto hard = read_limit(folder / "memory.max");
  const auto soft = read_limit(folder / "memory.high");  // above it everything crawls
  if (!hard && !soft) return;
  const auto stat = read_stat(folder / "memory.stat");
  const std::uint64_t used =
      without(read_limit(folder / "memory.current").value_or(0),
              value_of(stat, "inactive_file") + value_of(stat, "active_file") +
                  value_of(stat, "slab_reclaimable"));
  const std::string pool = pool_of(folder);
  if (hard) result.push_back({*hard, used, "memory.max of " + group, pool});
  if (soft) result.push_back({*soft, used, "memory.high of " + group, pool});
}

// False: the groups above do not count for this one.
bool add_version1(const fs::path& folder, const std::string& group, bool own,
                  std::vector<GroupLimit>& result) {
  const auto stat = read_stat(folder / "memory.stat");
  // "total_" is with the groups below; without use_hierarchy there is only the group's own.
  const bool total = stat.contains("total_inactive_file");
  const std::uint64_t used =
      without(read_limit(folder / "memory.usage_in_bytes").value_or(0),
              value_of(stat, total ? "total_inactive_file" : "inactive_file") +
                  value_of(stat, total ? "total_active_file" : "active_file"));
  if (const auto limit = read_limit(folder / "memory.limit_in_bytes"))
    result.push_back({*limit, used, "memory.limit_in_bytes of " + group, pool_of(folder)});
  // The least of all groups above, also of those that a namespace hides.
  const std::uint64_t above = value_of(stat, "hierarchical_memory_limit");
  if (own && above > 0 && above < kNoLimit)
    result.push_back({above, used, "hierarchical_memory_limit of " + group, pool_of(folder)});
  return read_limit(folder / "memory.use_hierarchy").value_or(1) != 0;
}

}  // namespace

std::vector<GroupMount> group_mounts(std::string_view mountinfo) {
  std::vector<GroupMount> mounts;
  for (const std::string& line : split(mountinfo, '\n')) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS ...] - TYPE SOURCE SUPER-OPTIONS
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    const bool version2 = dash[1] == "cgroup2";
    if (!version2 && !(dash[1] == "cgroup" && lists(dash[3], "memory"))) continue;
    mounts.push_back({unescape(fields[3]), unescape(fields[4]), version2});
  }
  return mounts;
}

GroupMembership membership(std::string_view proc_self_cgroup) {
  GroupMembership result;
  for (const std::string& line : split(proc_self_cgroup, '\n')) {
    // ID:CONTROLLERS:PATH, and 0::PATH for version 2. A path may hold colons.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (path.empty() || path[0] != '/') continue;
    if (controllers.empty() && line.substr(0, first) == "0") result.version2 = path;
    if (lists(controllers, "memory")) result.memory1 = path;
  }
  return result;
}

std::vector<std::string> groups_from(const std::string& mount_root, const std::string& group) {
  std::string below;
  if (mount_root == "/") {
    below = group == "/" ? "" : group;
  } else if (group.rfind(mount_root, 0) == 0 &&
             (group.size() == mount_root.size() || group[mount_root.size()] == '/')) {
    below = group.substr(mount_root.size());
  }
  // Above the root of our namespace: nothing that we see leads there.
  if ((below + "/").find("/../") != std::string::npos) below.clear();
  while (!below.empty() && below.back() == '/') below.pop_back();
  std::vector<std::string> groups;
  while (!below.empty()) {
    groups.push_back(below);
    below.resize(below.rfind('/'));
  }
  groups.emplace_back();
  return groups;
}

std::vector<GroupLimit> group_limits(const fs::path& root) {
  const auto mounts = group_mounts(read_file(root / "proc/self/mountinfo").value_or(""));
  const GroupMembership member = membership(read_file(root / "proc/self/cgroup").value_or(""));
  std::vector<GroupLimit> result;
  for (const GroupMount& mount : mounts) {
    const auto& group = mount.version2 ? member.version2 : member.memory1;
    if (!group) continue;
    bool own = true;
    for (const std::string& below : groups_from(mount.root, *group)) {
      const fs::path folder = root / fs::path(mount.point + below).relative_path();
      std::error_code error;
      if (!fs::is_directory(folder, error)) continue;
      const std::string name = group_name(mount, below);
      if (mount.version2) {
        add_version2(folder, name, result);
      } else if (!add_version1(folder, name, std::exchange(own, false), result)) {
        break;
      }
    }
  }
  return result;
}

}  // namespace shoal::base
