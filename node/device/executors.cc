// SPDX-License-Identifier: Apache-2.0
#include "node/device/executors.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/cuda/open_devices.h"

namespace shoal::node {

absl::StatusOr<ChosenDevice> open_chosen(const kernels::cuda::DeviceChoice& choice) {
  kernels::cuda::OpenedDevices opened = kernels::cuda::open_devices(choice);
  if (opened.refused) return absl::UnavailableError(opened.line);
  if (opened.gpus.size() > 1) {
    return absl::UnimplementedError(
        fmt::format("--device {}: a node computes on one GPU so far; start a node for each of them",
                    kernels::cuda::text_of(choice)));
  }
  ChosenDevice chosen{nullptr, opened.line};
  if (!opened.gpus.empty()) chosen.executor = std::move(opened.gpus.front());
  return chosen;
}

absl::StatusOr<kernels::MmaKind> mma_of(const ChosenDevice& device) {
  const kernels::MmaKind kind =
      device.executor == nullptr ? kernels::MmaKind::kNone : device.executor->mma();
  if (kind != kernels::MmaKind::kNone) return kind;
  return absl::FailedPreconditionError(
      fmt::format("--compute mma needs a GPU ({}): leave it at --compute exact, or choose a GPU "
                  "with --device",
                  device.line.empty() ? "this is the CPU" : device.line));
}

base::MemoryBudget budget_on(const kernels::Executor* executor,
                             const std::optional<base::MemorySize>& most) {
  const auto memory = executor == nullptr ? std::nullopt : executor->memory();
  if (!memory) return base::memory_budget("/", base::process_limits(), most);
  // What is free, not what is installed: a desktop uses the card too.
  base::MemoryLimit limit{
      .bytes = memory->free, .from = fmt::format("the {}", memory->name), .shared = false};
  if (most && most->of(memory->total) < limit.bytes) {
    limit.bytes = most->of(memory->total);
    limit.from = "--memory";
  }
  return {limit, std::nullopt};
}

}  // namespace shoal::node
