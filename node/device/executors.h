// SPDX-License-Identifier: Apache-2.0
// Where a node computes: how its devices are opened, and how much memory there is for the span.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_budget.h"
#include "base/memory_ledger.h"
#include "kernels/cuda/device_choice.h"
#include "kernels/executor.h"

namespace shoal::node {

// A device, and how many blocks of the span it computes.
struct DeviceShare {
  std::unique_ptr<kernels::Executor> executor;
  std::uint32_t blocks = 0;
};

// Of so many blocks; devices beyond have none.
std::vector<DeviceShare> in_shares(std::vector<std::unique_ptr<kernels::Executor>> executors,
                                   std::span<const std::uint32_t> shares);
std::vector<DeviceShare> in_equal_shares(std::vector<std::unique_ptr<kernels::Executor>> executors,
                                         std::uint32_t blocks);

struct ChosenDevices {
  std::vector<std::unique_ptr<kernels::Executor>> executors;  // none: the CPU
  std::string line;                                           // for the log: what is used, and why
};

// May wait, for seconds on a GPU. Every error is one sentence that names the way out.
using OpenDevices = std::function<absl::StatusOr<ChosenDevices>()>;

// What --device says.
absl::StatusOr<ChosenDevices> open_chosen(const kernels::cuda::DeviceChoice& choice);

// The float tensor cores that --compute mma needs; an error where there are none, or unlike ones.
absl::StatusOr<kernels::MmaKind> mma_of(const ChosenDevices& devices);

// Of each device; of the CPU where there is none. `most`: what the user allows, with --memory; of a
// device with memory of its own, there. `promised`: by the nodes of this machine to themselves.
std::vector<base::MemoryBudget> budgets_on(const ChosenDevices& devices,
                                           const std::optional<base::MemorySize>& most,
                                           const base::PromisedMemory& promised = {});

}  // namespace shoal::node
