// SPDX-License-Identifier: Apache-2.0
// What `shoal-node plan` says: for each format of the weights the blocks that fit into the memory,
// the KV positions beside them, and how fast that span can be at most. make_plan and the texts are
// pure; plan_of reads headers, looks at this machine and measures how fast it reads memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_budget.h"
#include "model/memory_needs.h"
#include "model/sizing.h"
#include "model/weight_choice.h"
#include "node/command_line.h"

namespace shoal::node {

struct FormatPlan {
  model::WeightChoice weights = model::WeightChoice::kStored;
  std::uint64_t block_bytes = 0;  // of weights
  std::uint32_t blocks = 0;       // 0: not one fits, or not those that were asked for
  std::int64_t kv_positions = 0;
  double tokens_s = 0;  // of one session, if nothing but reading the weights took time
  // Of the model's ends, which a node with the first or last block serves too (--ends auto); and
  // whether there is room for both beside these blocks.
  std::uint64_t ends_bytes = 0;
  bool ends_fit = false;
};

// A device of the node: what memory there is, and how fast it is read.
struct PlannedDevice {
  base::MemoryBudget budget;
  double read_bytes_s = 0;
};

struct NodePlan {
  std::string model;
  std::string stored;        // "bf16"
  std::uint32_t blocks = 0;  // that a span may have: of the model, or asked for
  base::MemoryLimit memory;  // of all devices
  std::uint64_t usable_bytes = 0;
  double read_bytes_s = 0;                    // of the slowest device
  std::string reader = "this machine";        // who reads so fast
  std::vector<FormatPlan> formats;            // of each that there are needs of
  bool mma = false;                           // --compute mma: of stored weights alone
  std::optional<model::WeightChoice> chosen;  // by --weights auto
  std::string reason;                         // why; or why none
};

// needs: of each of model::kWeightChoices; of one, for WeightChoice::kMma.
NodePlan make_plan(std::span<const PlannedDevice> devices,
                   std::span<const model::MemoryNeeds> needs, std::uint32_t block_count,
                   const model::MemoryWishes& wishes);

// And what room the ends find beside that. needs: as above. `host`: where they are kept when the
// devices are GPUs.
void plan_ends(std::span<const PlannedDevice> devices, std::span<const model::MemoryNeeds> needs,
               std::span<const model::EndNeeds> ends, const std::optional<base::MemoryBudget>& host,
               std::uint32_t block_count, const model::MemoryWishes& wishes, NodePlan& plan);

std::string plan_text(const NodePlan& plan);
std::string plan_json(const NodePlan& plan);

absl::StatusOr<NodePlan> plan_of(const CommandLine& line);

}  // namespace shoal::node
