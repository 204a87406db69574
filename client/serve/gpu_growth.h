// SPDX-License-Identifier: Apache-2.0
// What one more GPU of a given size would bring to a swarm: for each format of the weights how many
// blocks it holds, which it would serve, and what the swarm gains. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "client/swarm/coverage.h"
#include "client/swarm/swarm_view.h"
#include "model/config.h"
#include "model/weight_choice.h"

namespace shoal::client {

// Sizes of cards that people have, in GiB; and what one may ask for.
inline constexpr std::array<std::uint32_t, 6> kCardSizes = {8, 12, 16, 24, 48, 80};
inline constexpr std::uint32_t kMostCardGib = 1024;

struct FormatGrowth {
  model::WeightChoice weights = model::WeightChoice::kStored;
  std::uint32_t blocks = 0;  // 0: not one fits, and the rest is empty
  std::int64_t kv_positions = 0;
  Gain gain{};
};
struct GpuGrowth {
  std::uint32_t gib = 0;
  std::vector<FormatGrowth> formats;  // bf16 (as most models are stored), q8, q4
};

// By the rules by which a node takes blocks (model/sizing.h), for a card that holds nothing else.
// block_step_us: how fast it computes, as nobody knows. view: of the model with this configuration.
GpuGrowth growth_of(const model::ModelConfig& config, const SwarmView& view, std::uint32_t gib,
                    double block_step_us);

}  // namespace shoal::client
