// SPDX-License-Identifier: Apache-2.0
#include "model/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/kv_pool.h"

namespace shoal::model {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
// Left to the programs that share the memory with us: they will want more of it.
constexpr double kSharedReserve = 0.2;
constexpr double kOwnReserve = 0.1;
// But not without end: what a large machine keeps free, nobody needs.
constexpr std::uint64_t kMostReserve = 4096 * kMiB;
// The program itself, connections, queues; less where there is hardly more than that.
constexpr std::uint64_t kProgramBytes = 96 * kMiB;

// Of blocks: more than any model has.
constexpr std::uint32_t kAnyNumber = 1 << 20;

struct Fit {
  std::uint64_t weight = 0;
  std::uint64_t position = 0;  // of one block
  std::uint64_t usable = 0;
  std::uint64_t own = std::numeric_limits<std::uint64_t>::max();  // for KV, and for packed weights
  std::uint64_t own_weight = 0;                                   // of a block, of `own`

  // Positions that fit beside the weights of so many blocks.
  std::int64_t positions(std::uint32_t blocks) const {
    const double weights = static_cast<double>(weight) * blocks;
    const double left =
        std::min(static_cast<double>(usable) - weights,
                 static_cast<double>(own) - static_cast<double>(own_weight) * blocks);
    const double fit = left / std::max(static_cast<double>(position) * blocks, 1.0);
    return static_cast<std::int64_t>(std::clamp(fit, 0.0, 9e15));
  }
  std::uint32_t blocks(std::int64_t positions, std::uint32_t most) const {
    const double kv = static_cast<double>(position) * static_cast<double>(positions);
    const double fit =
        std::min(static_cast<double>(usable) / std::max(static_cast<double>(weight) + kv, 1.0),
                 static_cast<double>(own) / std::max(static_cast<double>(own_weight) + kv, 1.0));
    return static_cast<std::uint32_t>(std::min<double>(fit, most));
  }
};

std::uint64_t less(std::uint64_t bytes, std::uint64_t taken) {
  return bytes > taken ? bytes - taken : 0;
}

std::int64_t whole_pages(std::int64_t positions) {
  return positions / model::kPagePositions * model::kPagePositions;
}

// So many blocks, dealt out in proportion to the room that each has: the largest remainders get
// what is left over.
std::vector<std::uint32_t> dealt(std::uint32_t blocks, std::span<const std::uint32_t> room) {
  const std::uint64_t all = std::accumulate(room.begin(), room.end(), std::uint64_t{0});
  std::vector<std::uint32_t> shares;
  std::vector<std::pair<std::uint64_t, std::size_t>> remainders;
  std::uint32_t left = blocks;
  for (std::size_t i = 0; i < room.size(); ++i) {
    const std::uint64_t product = std::uint64_t{blocks} * room[i];
    shares.push_back(static_cast<std::uint32_t>(product / all));
    remainders.emplace_back(product % all, room.size() - i);  // of equal ones the first
    left -= shares.back();
  }
  std::sort(remainders.rbegin(), remainders.rend());
  for (std::size_t i = 0; i < left; ++i) ++shares[room.size() - remainders[i].second];
  return shares;
}

// Where no device has room for what is asked: on the one that has most memory, which may do with
// fewer positions, or says what is missing.
absl::StatusOr<MemoryPlan> plan_largest(std::span<const MemoryBudget> devices,
                                        const MemoryNeeds& needs, std::uint32_t block_count,
                                        const MemoryWishes& wishes) {
  const auto largest = std::max_element(
      devices.begin(), devices.end(),
      [](const MemoryBudget& a, const MemoryBudget& b) { return a.all.bytes < b.all.bytes; });
  auto plan = plan_memory(*largest, needs, block_count, wishes);
  if (!plan.ok()) return plan;
  plan->shares.assign(devices.size(), 0);
  plan->shares[static_cast<std::size_t>(largest - devices.begin())] = plan->blocks;
  return plan;
}

// What the wider ones would hold: "; stored 3, q8 6".
std::string others_text(std::span<const absl::StatusOr<MemoryPlan>> plans, std::size_t chosen,
                        std::uint32_t wanted) {
  std::string text;
  for (std::size_t i = 0; i < chosen; ++i) {
    text += fmt::format("{}{} {}", i == 0 ? "; " : ", ", name_of(kWeightChoices[i]),
                        plans[i].ok() ? plans[i]->blocks : 0);
    if (plans[i].ok() && plans[i]->blocks == wanted) {
      text += fmt::format(" with {} KV positions", plans[i]->kv_positions);
    }
  }
  return text;
}

// For people who gave too little: what would do, with what is taken of it already.
std::string least_given_text(const MemoryLimit& limit, const MemoryNeeds& needs, double needed) {
  const std::uint64_t wanted = static_cast<std::uint64_t>(needed) + needs.fixed_bytes;
  std::uint64_t too_little = limit.bytes;
  std::uint64_t enough = too_little + kMiB;
  const auto suffices = [&](std::uint64_t bytes) {
    return usable_bytes({bytes, limit.from, limit.shared}, needs) >= wanted;
  };
  while (!suffices(enough)) enough *= 2;
  while (enough - too_little > 1) {
    const std::uint64_t middle = too_little + (enough - too_little) / 2;
    (suffices(middle) ? enough : too_little) = middle;
  }
  return fmt::format("{0} is {1} for all of the program: give at least {0} {2}MiB, or nothing",
                     limit.from, base::memory_text(*limit.given_bytes),
                     (enough + limit.taken_bytes + kMiB - 1) / kMiB);
}

}  // namespace

std::uint64_t usable_bytes(const MemoryLimit& limit, const MemoryNeeds& needs) {
  const double share = limit.shared ? kSharedReserve : kOwnReserve;
  const auto part = static_cast<std::uint64_t>(static_cast<double>(limit.bytes) * share);
  const std::uint64_t least = std::min(kProgramBytes, limit.bytes / 4) + needs.workspace_bytes;
  const std::uint64_t reserve = std::max(std::min(part, kMostReserve), least);
  return limit.bytes > reserve ? limit.bytes - reserve : 0;
}

absl::StatusOr<MemoryPlan> plan_memory(const MemoryBudget& budget, const MemoryNeeds& needs,
                                       std::uint32_t block_count, const MemoryWishes& wishes) {
  Fit fit{needs.block_weight_bytes, needs.block_position_kv_bytes,
          less(usable_bytes(budget.all, needs), needs.fixed_bytes)};
  if (needs.packed) fit.own_weight = needs.block_weight_bytes;
  if (budget.own) fit.own = less(usable_bytes(*budget.own, needs), needs.own_fixed_bytes);
  const auto limits = [&] {
    std::string text = fmt::format("{} of the {} that {} leaves", base::memory_text(fit.usable),
                                   base::memory_text(budget.all.bytes), budget.all.from);
    if (budget.own) {
      text += fmt::format(", and {} of the {} that {} leaves for all but the model's files",
                          base::memory_text(fit.own), base::memory_text(budget.own->bytes),
                          budget.own->from);
    }
    return text;
  };
  const std::uint64_t weight = needs.block_weight_bytes;
  const double position_mib = static_cast<double>(needs.block_position_kv_bytes) / kMiB;

  MemoryPlan plan;
  if (wishes.blocks) {
    plan.blocks = *wishes.blocks;
  } else {
    plan.blocks = fit.blocks(wishes.kv_positions.value_or(kLeastKvPositions), block_count);
    if (plan.blocks == 0 && !wishes.kv_positions && fit.positions(1) >= kFewestKvPositions)
      plan.blocks = 1;
    if (plan.blocks == 0) {
      const std::int64_t positions = wishes.kv_positions.value_or(kFewestKvPositions);
      const double needed =
          static_cast<double>(weight) +
          static_cast<double>(needs.block_position_kv_bytes) * static_cast<double>(positions);
      const std::string block =
          fmt::format("one block needs {:.0f} MiB ({} of weights, the rest for {} KV positions)",
                      needed / kMiB, base::memory_text(weight), positions);
      // Where it is not an ulimit that leaves too little.
      if (budget.all.given_bytes && static_cast<double>(fit.usable) < needed) {
        return absl::ResourceExhaustedError(
            fmt::format("{}, but {}", block, least_given_text(budget.all, needs, needed)));
      }
      return absl::ResourceExhaustedError(fmt::format(
          "{}, but only {} can be used; free some memory, raise the limit, or choose fewer "
          "--kv-positions",
          block, limits()));
    }
  }

  const std::int64_t fitting = fit.positions(plan.blocks);
  plan.kv_positions = whole_pages(
      wishes.kv_positions.value_or(std::min<std::int64_t>(fitting, kDefaultKvPositions)));
  if (plan.kv_positions < model::kPagePositions || plan.kv_positions > fitting) {
    const std::int64_t asked = wishes.kv_positions.value_or(model::kPagePositions);
    const double needed =
        static_cast<double>(plan.blocks) *
        (static_cast<double>(weight) +
         static_cast<double>(needs.block_position_kv_bytes) * static_cast<double>(asked));
    const bool too_little_given =
        budget.all.given_bytes && static_cast<double>(fit.usable) < needed;
    return absl::ResourceExhaustedError(fmt::format(
        "{} blocks need {} for weights and {:.3f} MiB for each of {} KV positions, but {}; serve "
        "fewer blocks (--blocks) or fewer --kv-positions (at least {})",
        plan.blocks, base::memory_text(weight * plan.blocks), position_mib * plan.blocks, asked,
        too_little_given ? least_given_text(budget.all, needs, needed)
                         : fmt::format("only {} can be used", limits()),
        model::kPagePositions));
  }
  plan.shares = {plan.blocks};
  plan.reason = fmt::format(
      "memory: {} can be used; {} of {} blocks take {}, room for {} positions takes {}", limits(),
      plan.blocks, block_count, base::memory_text(weight * plan.blocks), plan.kv_positions,
      base::memory_text(needs.block_position_kv_bytes * plan.blocks *
                        static_cast<std::uint64_t>(plan.kv_positions)));
  return plan;
}

absl::StatusOr<MemoryPlan> plan_memory(std::span<const MemoryBudget> devices,
                                       const MemoryNeeds& needs, std::uint32_t block_count,
                                       const MemoryWishes& wishes) {
  CHECK(!devices.empty());
  if (devices.size() == 1) return plan_memory(devices.front(), needs, block_count, wishes);
  std::vector<std::uint32_t> room;  // blocks, of each
  const std::int64_t positions = wishes.kv_positions.value_or(kLeastKvPositions);
  for (const MemoryBudget& device : devices) {
    const auto alone = plan_memory(device, needs, kAnyNumber, {std::nullopt, positions});
    room.push_back(alone.ok() ? alone->blocks : 0);
  }
  const std::uint32_t all = std::accumulate(room.begin(), room.end(), 0u);
  if (all == 0) return plan_largest(devices, needs, block_count, wishes);
  MemoryPlan plan;
  plan.blocks = wishes.blocks.value_or(std::min(all, block_count));
  plan.shares = dealt(plan.blocks, room);
  plan.kv_positions = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (plan.shares[i] == 0) continue;
    const auto part =
        plan_memory(devices[i], needs, block_count, {plan.shares[i], wishes.kv_positions});
    if (!part.ok()) return part.status();
    plan.kv_positions = std::min(plan.kv_positions, part->kv_positions);
    plan.reason += (plan.reason.empty() ? "" : "; ") + part->reason;
  }
  return plan;
}

absl::StatusOr<WeightPlan> choose_weights(std::span<const MemoryBudget> devices,
                                          std::span<const MemoryNeeds> needs,
                                          std::uint32_t block_count, const MemoryWishes& wishes) {
  CHECK(needs.size() == kWeightChoices.size()) << needs.size() << " formats";
  const std::uint32_t wanted = wishes.blocks.value_or(block_count);
  std::vector<absl::StatusOr<MemoryPlan>> plans;
  for (const MemoryNeeds& each : needs) {
    plans.push_back(plan_memory(devices, each, block_count, wishes));
  }
  const auto is_roomy = [&](const MemoryPlan& plan) {
    return wishes.kv_positions || plan.kv_positions >= kLeastKvPositions;
  };
  const auto is_better = [&](const MemoryPlan& plan, const MemoryPlan& before) {
    return plan.blocks > before.blocks || (plan.blocks == before.blocks && !is_roomy(before) &&
                                           plan.kv_positions > before.kv_positions);
  };
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (!plans[i].ok()) continue;
    if (!best || is_better(*plans[i], *plans[*best])) best = i;
  }
  if (!best) return plans.back().status();
  WeightPlan result{kWeightChoices[*best], *plans[*best], ""};
  const bool all = result.plan.blocks == wanted && is_roomy(result.plan);
  result.reason = all ? fmt::format("{} is the widest format in which {} blocks fit",
                                    name_of(result.weights), wanted)
                      : fmt::format("{} holds most, {} of {} blocks with {} KV positions",
                                    name_of(result.weights), result.plan.blocks, wanted,
                                    result.plan.kv_positions);
  result.reason += others_text(plans, *best, wanted);
  return result;
}

}  // namespace shoal::model
