// SPDX-License-Identifier: Apache-2.0
#include "base/memory_budget.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <vector>

#include "base/control_groups.h"

namespace shoal::base {
namespace {

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max() / 4;

// "Name:   123 kB" lines, in bytes.
std::map<std::string, std::uint64_t> read_kilobytes(const std::filesystem::path& path) {
  std::map<std::string, std::uint64_t> result;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || line.find("kB") == std::string::npos) continue;
    result[line.substr(0, colon)] =
        std::strtoull(line.c_str() + colon + 1, nullptr, 10) * 1024;  // 0 for what is no number
  }
  return result;
}

std::uint64_t get(const std::map<std::string, std::uint64_t>& values, const char* name) {
  const auto found = values.find(name);
  return found == values.end() ? 0 : found->second;
}

std::uint64_t minus(std::uint64_t limit, std::uint64_t used) {
  return limit > used ? limit - used : 0;
}

void take_least(MemoryLimit& least, MemoryLimit other) {
  if (other.bytes < least.bytes) least = std::move(other);
}

// What is left of it beside what is promised.
MemoryLimit without(MemoryLimit limit, std::uint64_t promised) {
  if (promised == 0) return limit;
  limit.bytes = minus(limit.bytes, promised);
  limit.from += fmt::format(", less {} that nodes here have reserved,", memory_text(promised));
  return limit;
}

}  // namespace

ProcessLimits process_limits() {
  const auto soft = [](auto which) -> std::optional<std::uint64_t> {
    rlimit limit{};
    if (getrlimit(which, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
    return limit.rlim_cur;
  };
  return {soft(RLIMIT_AS), soft(RLIMIT_DATA)};
}

MemoryBudget memory_budget(const std::filesystem::path& root, const ProcessLimits& limits,
                           const std::optional<MemorySize>& most, const PromisedMemory& promised) {
  const auto machine = read_kilobytes(root / "proc/meminfo");
  const auto self = read_kilobytes(root / "proc/self/status");
  MemoryBudget budget;
  budget.all = {kUnknown, "this machine's memory", true};
  if (machine.contains("MemAvailable")) {
    take_least(budget.all,
               without({get(machine, "MemAvailable"), "the free memory of this machine", true},
                       promised.of(kHostPool)));
  } else if (machine.contains("MemFree")) {  // before Linux 3.14
    take_least(budget.all,
               without({get(machine, "MemFree") + get(machine, "Cached") + get(machine, "Buffers"),
                        "the free memory of this machine", true},
                       promised.of(kHostPool)));
  }
  std::uint64_t total = machine.contains("MemTotal") ? get(machine, "MemTotal") : kUnknown;
  for (GroupLimit& group : group_limits(root)) {
    total = std::min(total, group.limit_bytes);
    take_least(budget.all, without({group.left_bytes(), std::move(group.name), false},
                                   promised.of(group.pool)));
  }
  if (most) {
    // Weights that are mapped already are no news: they are planned for below.
    const std::uint64_t used = get(self, "RssAnon");
    const std::uint64_t given = most->of(total);
    const std::uint64_t taken = used + promised.own;
    take_least(budget.all, {minus(given, taken), "--memory", false, given, taken});
  }
  const auto own = [&](std::uint64_t left, const char* from) {
    if (!budget.own || left < budget.own->bytes) budget.own = MemoryLimit{left, from, false};
  };
  if (limits.address_space_bytes)
    own(minus(*limits.address_space_bytes, get(self, "VmSize")), "ulimit -v");
  if (limits.data_bytes) own(minus(*limits.data_bytes, get(self, "VmData")), "ulimit -d");
  return budget;
}

}  // namespace shoal::base
