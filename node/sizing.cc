// SPDX-License-Identifier: Apache-2.0
#include "node/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "kernels/attention.h"

namespace shoal::node {
namespace {

// What we plan with: the rest is for activations, connections and the other programs of a home
// computer.
constexpr double kUsableShare = 0.8;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::optional<std::uint64_t> read_number(const char* path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // absent, or "max"
}

}  // namespace

absl::StatusOr<std::uint32_t> blocks_that_fit(std::uint64_t available_bytes, MemoryNeeds needs,
                                              std::int64_t kv_positions,
                                              std::uint32_t block_count) {
  const double per_block = static_cast<double>(needs.block_weight_bytes) +
                           static_cast<double>(needs.block_position_kv_bytes) * kv_positions;
  const double fit = static_cast<double>(available_bytes) * kUsableShare / std::max(per_block, 1.0);
  if (fit < 1) {
    return absl::ResourceExhaustedError(
        fmt::format("one block needs {:.0f} MiB ({:.0f} MiB of weights, the rest for {} KV "
                    "positions), but only {:.0f} MiB of "
                    "memory are usable; free some memory or choose fewer --kv-positions",
                    per_block / (1 << 20), mib(needs.block_weight_bytes), kv_positions,
                    mib(available_bytes) * kUsableShare));
  }
  return static_cast<std::uint32_t>(std::min<double>(fit, block_count));
}

absl::StatusOr<std::int64_t> kv_positions_that_fit(std::uint64_t available_bytes, MemoryNeeds needs,
                                                   std::uint32_t blocks,
                                                   std::optional<std::int64_t> wanted) {
  const double usable = static_cast<double>(available_bytes) * kUsableShare;
  const double weights = static_cast<double>(needs.block_weight_bytes) * blocks;
  const double position = static_cast<double>(needs.block_position_kv_bytes) * blocks;
  const double fit = std::max(0.0, (usable - weights) / std::max(position, 1.0));
  std::int64_t positions = wanted.value_or(kDefaultKvPositions);
  if (!wanted) positions = static_cast<std::int64_t>(std::min<double>(fit, positions));
  positions = positions / kernels::kPagePositions * kernels::kPagePositions;
  if (positions < kernels::kPagePositions || static_cast<double>(positions) > fit) {
    return absl::ResourceExhaustedError(fmt::format(
        "{} blocks need {:.0f} MiB for weights and {:.3f} MiB for each of {} KV positions, but "
        "only {:.0f} MiB of "
        "memory are usable; serve fewer blocks (--blocks) or fewer --kv-positions (at least {})",
        blocks, weights / (1 << 20), position / (1 << 20), wanted.value_or(kernels::kPagePositions),
        usable / (1 << 20), kernels::kPagePositions));
  }
  return positions;
}

std::uint64_t available_memory() {
  std::uint64_t available = std::numeric_limits<std::uint64_t>::max() / 4;
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  std::string rest;
  std::uint64_t kib = 0;
  while (meminfo >> name >> kib && std::getline(meminfo, rest)) {
    if (name == "MemAvailable:") available = kib * 1024;
  }
  const auto limit = read_number("/sys/fs/cgroup/memory.max");
  const auto used = read_number("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, *limit > *used ? *limit - *used : 0);
  return available;
}

}  // namespace shoal::node
