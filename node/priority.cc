// SPDX-License-Identifier: Apache-2.0
#include "node/priority.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

namespace shoal::node {

absl::Status give_way(int nice) {
  // Linux keeps it for each thread.
  std::error_code error;
  int refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const std::string name = entry.path().filename().string();
    id_t thread = 0;
    std::from_chars(name.data(), name.data() + name.size(), thread);
    if (setpriority(PRIO_PROCESS, thread, nice) != 0 && errno != ESRCH) refused = errno;
  }
  if (error && setpriority(PRIO_PROCESS, 0, nice) != 0) refused = errno;
  if (refused == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("--nice {}: {}: start the node again to have it give way less", nice,
                  std::strerror(refused)));
}

}  // namespace shoal::node
