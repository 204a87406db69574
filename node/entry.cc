// SPDX-License-Identifier: Apache-2.0
#include "node/entry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/awaited.h"
#include "identity/random.h"
#include "node/member/placement.h"
#include "node/model_parts.h"

namespace shoal::node {
namespace {

// Nodes that are started together should not choose the same blocks.
constexpr std::uint32_t kPlacementPauseMs = 1'500;

// What memory there is now, after all waiting.
absl::StatusOr<model::MemoryPlan> plan_span(const NodeOptions& options,
                                            const ChosenDevices& devices, LoadedModel& model,
                                            std::uint32_t most_blocks) {
  if (!devices.line.empty()) spdlog::info("{}", devices.line);
  model::MemoryWishes wishes;
  if (options.blocks) wishes.blocks = options.blocks->size();
  wishes.kv_positions = options.kv_positions;
  const std::vector<base::MemoryBudget> budgets = budgets_on(devices, options.memory);
  if (!options.weights) {
    auto chosen =
        model::choose_weights(budgets, needs_of_all(model, options.kv_dtype), most_blocks, wishes);
    if (!chosen.ok()) return chosen.status();
    spdlog::info("weights: {}", chosen->reason);
    model.keep_as({options.kv_dtype, chosen->weights});
  }
  auto plan = model::plan_memory(budgets, model.needs, most_blocks, wishes);
  if (plan.ok()) spdlog::info("{}", plan->reason);
  return plan;
}

}  // namespace

std::vector<model::MemoryNeeds> needs_of_all(const LoadedModel& model, kernels::KvDType kv) {
  std::vector<model::MemoryNeeds> needs;
  needs.reserve(model::kWeightChoices.size());
  for (const model::WeightChoice weights : model::kWeightChoices) {
    needs.push_back(model.needs_as({kv, weights}));
  }
  return needs;
}

OwnModel own_model(const LoadedModel& model) {
  return {model.name, model.digest, static_cast<std::uint32_t>(model.config.block_count)};
}

absl::StatusOr<Entry> enter_swarm(const NodeOptions& options, const ChosenDevices& devices,
                                  LoadedModel& model, net::ChannelPool& channels,
                                  Membership& member, OwnRecordWatch& own_record) {
  Entry entry;
  const proto::PeerId& self = options.identity.peer_id();
  const identity::SwarmId& swarm = member.swarm().swarm_id();
  if (member.joins()) {
    absl::Status joined =
        member.join([&](const auto& silent) { return own_record.check_silent(silent); });
    if (!joined.ok()) return joined;
    const auto served = member.find(dht::models_key(swarm));
    if (!served.ok()) return served.status();
    entry.last_sequence = known_sequence(*served, self);
    own_record.begin(*served);
    // We may have joined by loopback a swarm that reaches beyond this machine.
    member.learn_others(*served);
    if (model.manifest == nullptr) {
      absl::Status found = find_manifest(model, *served, channels, member.stop());
      if (!found.ok()) return found;
    }
    if (!options.add_model) {
      const absl::Status fits = check_model(*served, own_model(model));
      if (!fits.ok()) return fits;
    }
  }
  const OwnModel own = own_model(model);
  std::uint32_t most = 0;  // blocks in a row that are here
  for (const proto::Span& run : model.held) most = std::max(most, run.size());
  auto plan = plan_span(options, devices, model, most);
  if (!plan.ok()) return plan.status();
  entry.plan = *std::move(plan);
  if (options.blocks) {
    entry.span = *options.blocks;
    return entry;
  }
  if (entry.plan.blocks == own.block_count) {
    entry.span = {0, own.block_count};
    return entry;
  }
  std::vector<dht::Record> records;
  if (member.joins()) {
    const std::chrono::milliseconds pause(identity::Random::from_system().below(kPlacementPauseMs));
    if (!base::sleep_for(pause, member.stop())) return member.stop().status();
    auto found = member.find(dht::model_key(swarm, own.digest));
    if (!found.ok()) return found.status();
    records = std::move(*found);
  }
  const auto servers = served_spans(records, own.digest, own.block_count, self);
  entry.span =
      choose_span(block_throughput(servers, own.block_count), entry.plan.blocks, model.held);
  return entry;
}

}  // namespace shoal::node
