// SPDX-License-Identifier: Apache-2.0
#include "client/serve/gpu_growth.h"

#include "model/memory_needs.h"
#include "model/sizing.h"

namespace shoal::client {
namespace {

constexpr std::array<model::WeightChoice, 3> kGrowthFormats = {
    model::WeightChoice::kStored, model::WeightChoice::kQ8, model::WeightChoice::kQ4};
constexpr std::uint64_t kStoredBytes = 2;  // of a value: bf16
// Of one batch of a node: its workspace is small beside the weights.
constexpr std::int64_t kBatchRows = 512;

}  // namespace

GpuGrowth growth_of(const model::ModelConfig& config, const SwarmView& view, std::uint32_t gib,
                    double block_step_us) {
  GpuGrowth growth{gib, {}};
  const base::MemoryBudget card{{std::uint64_t{gib} << 30, "the card", /*shared=*/false}, {}};
  for (const model::WeightChoice weights : kGrowthFormats) {
    FormatGrowth& format = growth.formats.emplace_back(FormatGrowth{weights});
    const model::MemoryNeeds needs =
        model::memory_needs(config, kStoredBytes, kBatchRows, kernels::KvDType::kF32, weights);
    const auto plan = model::plan_memory(card, needs, view.block_count, {});
    if (!plan.ok()) continue;
    format.blocks = plan->blocks;
    format.kv_positions = plan->kv_positions;
    format.gain = gain_of(view, plan->blocks, block_step_us);
  }
  return growth;
}

}  // namespace shoal::client
