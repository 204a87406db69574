// SPDX-License-Identifier: Apache-2.0
// Which of the model's ends a node serves (--ends): those that its span reaches, whose tensors are
// here, and that fit into the memory beside the blocks. Blocks come first: without ends clients
// need the model's files, without a block nobody has a chain. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_budget.h"
#include "model/end_tensors.h"
#include "model/memory_needs.h"
#include "model/sizing.h"
#include "proto/types.h"

namespace shoal::node {

enum class EndsMode : std::uint8_t { kAuto, kOff, kOn };

// The first block's node embeds, the last one's has the head.
model::EndParts ends_of(proto::Span span, std::uint32_t block_count);

struct EndsQuestion {
  EndsMode mode = EndsMode::kAuto;
  model::EndParts reached;           // by the span: ends_of()
  std::vector<std::string> missing;  // tensors of them
  model::EndNeeds needs;             // of all of them
  // What the blocks compute on, or GPUs and, for the ends, the machine's own memory.
  std::span<const base::MemoryBudget> devices;
  std::optional<base::MemoryBudget> host;
  model::MemoryNeeds blocks;
  std::uint32_t block_count = 0;
  model::MemoryPlan plan;  // of the blocks alone
  model::MemoryWishes wishes;
};

struct EndsAnswer {
  model::EndParts parts;
  model::MemoryPlan plan;  // with them
  std::string reason;      // for the log; empty: there is nothing to say
};

// With kAuto what does not fit is left out; KV gives way to the ends, though not below
// model::kLeastKvPositions. With kOn it is an error, which names the way out.
absl::StatusOr<EndsAnswer> choose_ends(const EndsQuestion& question);

}  // namespace shoal::node
