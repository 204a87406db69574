// SPDX-License-Identifier: Apache-2.0
// Where a node computes: how its executor is opened, and how much memory there is for the span.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/memory_budget.h"
#include "kernels/cuda/device_choice.h"
#include "kernels/executor.h"

namespace shoal::node {

// May wait, for seconds on a GPU; null: the CPU. Every error is one sentence that names the way
// out.
using OpenExecutor = std::function<absl::StatusOr<std::unique_ptr<kernels::Executor>>()>;

// What --device says.
struct ChosenDevice {
  std::unique_ptr<kernels::Executor> executor;  // null: the CPU
  std::string line;                             // what is used, and why: for the log
};
absl::StatusOr<ChosenDevice> open_chosen(const kernels::cuda::DeviceChoice& choice);

// `executor`: null: the CPU. `most`: what the user allows, with --memory; of a device with memory
// of its own, there.
base::MemoryBudget budget_on(const kernels::Executor* executor,
                             const std::optional<base::MemorySize>& most);

}  // namespace shoal::node
