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

struct ChosenDevice {
  std::unique_ptr<kernels::Executor> executor;  // null: the CPU
  std::string line;                             // for the log: what is used, and why
};

// May wait, for seconds on a GPU. Every error is one sentence that names the way out.
using OpenDevice = std::function<absl::StatusOr<ChosenDevice>()>;

// What --device says.
absl::StatusOr<ChosenDevice> open_chosen(const kernels::cuda::DeviceChoice& choice);

// The float tensor cores that --compute mma needs; an error where there are none.
absl::StatusOr<kernels::MmaKind> mma_of(const ChosenDevice& device);

// `executor`: null: the CPU. `most`: what the user allows, with --memory; of a device with memory
// of its own, there.
base::MemoryBudget budget_on(const kernels::Executor* executor,
                             const std::optional<base::MemorySize>& most);

}  // namespace shoal::node
