// SPDX-License-Identifier: Apache-2.0
#include "node/device/executors.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/cuda/open_devices.h"

namespace shoal::node {

std::vector<DeviceShare> in_shares(std::vector<std::unique_ptr<kernels::Executor>> executors,
                                   std::span<const std::uint32_t> shares) {
  std::vector<DeviceShare> result;
  for (std::size_t i = 0; i < executors.size(); ++i) {
    if (shares[i] > 0) result.push_back({std::move(executors[i]), shares[i]});
  }
  return result;
}

std::vector<DeviceShare> in_equal_shares(std::vector<std::unique_ptr<kernels::Executor>> executors,
                                         std::uint32_t blocks) {
  const auto count = static_cast<std::uint32_t>(executors.size());
  std::vector<std::uint32_t> shares;
  for (std::uint32_t i = 0; i < count; ++i) {
    shares.push_back(blocks * (i + 1) / count - blocks * i / count);
  }
  return in_shares(std::move(executors), shares);
}

absl::StatusOr<ChosenDevices> open_chosen(const kernels::cuda::DeviceChoice& choice) {
  kernels::cuda::OpenedDevices opened = kernels::cuda::open_devices(choice);
  if (opened.refused) return absl::UnavailableError(opened.line);
  return ChosenDevices{std::move(opened.gpus), std::move(opened.line)};
}

absl::StatusOr<kernels::MmaKind> mma_of(const ChosenDevices& devices) {
  using kernels::MmaKind;
  MmaKind kind = devices.executors.empty() ? MmaKind::kNone : devices.executors.front()->mma();
  for (const std::unique_ptr<kernels::Executor>& executor : devices.executors) {
    if (executor->mma() == kind) continue;
    return absl::FailedPreconditionError(
        "--compute mma: the tensor cores of these GPUs round differently: start a node for each of "
        "them");
  }
  if (kind != MmaKind::kNone) return kind;
  return absl::FailedPreconditionError(
      fmt::format("--compute mma needs a GPU ({}): leave it at --compute exact, or choose a GPU "
                  "with --device",
                  devices.line.empty() ? "this is the CPU" : devices.line));
}

std::vector<base::MemoryBudget> budgets_on(const ChosenDevices& devices,
                                           const std::optional<base::MemorySize>& most,
                                           const base::PromisedMemory& promised) {
  std::vector<base::MemoryBudget> budgets;
  for (const std::unique_ptr<kernels::Executor>& executor : devices.executors) {
    const auto memory = executor->memory();
    if (!memory) break;
    // What is free, not what is installed: a desktop uses the card too.
    base::MemoryLimit limit{
        .bytes = memory->free, .from = fmt::format("the {}", memory->name), .shared = false};
    if (const std::uint64_t taken = promised.of(base::device_pool(memory->id)); taken > 0) {
      limit.bytes -= std::min(limit.bytes, taken);
      limit.from += ", less what nodes here are about to take of it,";
    }
    if (most && most->of(memory->total) < limit.bytes) {
      limit.bytes = most->of(memory->total);
      limit.from = "--memory";
    }
    budgets.push_back({limit, std::nullopt});
  }
  if (budgets.empty()) {
    budgets.push_back(base::memory_budget("/", base::process_limits(), most, promised));
  }
  return budgets;
}

}  // namespace shoal::node
