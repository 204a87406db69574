// SPDX-License-Identifier: Apache-2.0
#include "node/device/executors.h"

#include <fmt/format.h>

namespace shoal::node {

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
