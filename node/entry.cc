// SPDX-License-Identifier: Apache-2.0
#include "node/entry.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/awaited.h"
#include "base/memory_budget.h"
#include "identity/random.h"
#include "node/device/head_thread.h"
#include "node/device/span_ends.h"
#include "node/end_choice.h"
#include "node/member/placement.h"
#include "node/model_parts.h"

namespace shoal::node {
namespace {

// Nodes that are started together should not all look at the same moment; and then each waits until
// what it has said, and what others have, is to be found.
constexpr std::uint32_t kPlacementPauseMs = 500;
constexpr std::chrono::milliseconds kChoicePause{700};

model::MemoryWishes wishes_of(const NodeOptions& options) {
  model::MemoryWishes wishes;
  if (options.blocks) wishes.blocks = options.blocks->size();
  wishes.kv_positions = options.kv_positions;
  return wishes;
}

// With --ends on their room is kept free from the beginning: of both, as long as the blocks are not
// chosen. On a GPU they take none of it.
void keep_room_for_ends(const NodeOptions& options, const LoadedModel& model,
                        model::WeightChoice weights, model::MemoryNeeds& needs) {
  model::EndParts parts{.embedding = true, .head = true};
  if (options.blocks) {
    parts = ends_of(*options.blocks, static_cast<std::uint32_t>(model.config.block_count));
  }
  const model::EndNeeds ends = end_needs_of(model, parts, weights);
  needs.fixed_bytes = ends.all_bytes();
  needs.own_fixed_bytes = ends.own_bytes;
}

// What memory there is now, after all waiting.
absl::StatusOr<model::MemoryPlan> plan_span(const NodeOptions& options,
                                            const ChosenDevices& devices,
                                            std::span<const base::MemoryBudget> budgets,
                                            LoadedModel& model, std::uint32_t most_blocks) {
  if (!devices.line.empty()) spdlog::info("{}", devices.line);
  const model::MemoryWishes wishes = wishes_of(options);
  const bool keeps_room = options.ends == EndsMode::kOn && devices.executors.empty();
  if (!options.weights) {
    std::vector<model::MemoryNeeds> needs = needs_of_all(model, options.kv_dtype);
    for (std::size_t i = 0; keeps_room && i < needs.size(); ++i) {
      keep_room_for_ends(options, model, model::kWeightChoices[i], needs[i]);
    }
    auto chosen = model::choose_weights(budgets, needs, most_blocks, wishes);
    if (!chosen.ok()) return chosen.status();
    spdlog::info("weights: {}", chosen->reason);
    model.keep_as({options.kv_dtype, chosen->weights});
  }
  model::MemoryNeeds needs = model.needs;
  if (keeps_room) keep_room_for_ends(options, model, model.kept.weights, needs);
  return model::plan_memory(budgets, needs, most_blocks, wishes);
}

bool chooses(const NodeOptions& options, const LoadedModel& model, std::uint32_t blocks) {
  return !options.blocks && blocks < static_cast<std::uint32_t>(model.config.block_count);
}

absl::StatusOr<std::vector<ServedSpan>> servers_of(const NodeOptions& options,
                                                   const LoadedModel& model, Membership& member) {
  const OwnModel own = own_model(model);
  const auto found = member.find(dht::model_key(member.swarm().swarm_id(), own.digest));
  if (!found.ok()) return found.status();
  return served_spans(*found, own.digest, own.block_count, options.identity.peer_id());
}

// With --new-swarm nobody named this swarm: it is the one of the last run.
absl::Status own_swarm_instead(const absl::Status& status, const NodeOptions& options) {
  return absl::Status(
      status.code(),
      fmt::format("{}. For a swarm of its own instead of the one that this node was in, remove {}",
                  std::string(status.message()), options.contacts_file));
}

absl::StatusOr<proto::Span> choose_blocks(const NodeOptions& options, const LoadedModel& model,
                                          Membership& member, Entry& entry) {
  const OwnModel own = own_model(model);
  const std::uint32_t blocks = entry.plan.blocks;
  if (options.blocks) return *options.blocks;
  if (!chooses(options, model, blocks)) return proto::Span{0, own.block_count};
  std::vector<ServedSpan> servers;
  if (member.joins()) {
    const std::chrono::milliseconds pause(identity::Random::from_system().below(kPlacementPauseMs));
    if (!base::sleep_for(pause, member.stop())) return member.stop().status();
    auto found = servers_of(options, model, member);
    if (!found.ok()) return found.status();
    servers = *std::move(found);
  }
  for (const ServedSpan& server : servers) entry.known.insert(server.peer);
  return choose_span(block_throughput(servers, own.block_count), blocks, model.held);
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

model::EndNeeds end_needs_of(const LoadedModel& model, const model::EndParts& parts,
                             model::WeightChoice weights) {
  return model::end_needs(model.config, model.checkpoint, parts, head_choice(weights), kHeadRows);
}

OwnModel own_model(const LoadedModel& model) {
  return {model.name, model.digest, static_cast<std::uint32_t>(model.config.block_count)};
}

base::MemoryClaim Entry::claim(const LoadedModel& model) const {
  return claim_of(model.needs, end_needs_of(model, ends, model.kept.weights), plan, gpus);
}

std::uint32_t movable_blocks(const NodeOptions& options, const LoadedModel& model,
                             const Entry& entry) {
  // Where --ends must be served there is hardly another span.
  const bool moves = options.rebalance && options.ends != EndsMode::kOn &&
                     chooses(options, model, entry.plan.blocks);
  return moves ? entry.span.size() : 0;
}

absl::Status settle_span(const NodeOptions& options, const LoadedModel& model, proto::Span span,
                         Entry& entry) {
  const auto block_count = static_cast<std::uint32_t>(model.config.block_count);
  EndsQuestion question;
  question.mode = options.ends;
  question.reached = ends_of(span, block_count);
  if (options.fetch_span == nullptr) question.missing = model.missing_of(question.reached);
  question.needs = end_needs_of(model, question.reached, model.kept.weights);
  question.devices = entry.room.devices;
  question.host = entry.room.host;
  question.blocks = model.needs;
  question.block_count = block_count;
  question.plan = entry.blocks_plan;
  question.wishes = wishes_of(options);
  auto answer = choose_ends(question);
  if (!answer.ok()) return answer.status();
  entry.span = span;
  entry.plan = std::move(answer->plan);
  entry.ends = answer->parts;
  spdlog::info("{}", entry.plan.reason);
  if (!answer->reason.empty()) spdlog::info("{}", answer->reason);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<proto::Span>> choose_again(const NodeOptions& options,
                                                        const LoadedModel& model,
                                                        Membership& member, const Entry& entry) {
  if (!member.joins() || !chooses(options, model, entry.plan.blocks)) return std::nullopt;
  if (!base::sleep_for(kChoicePause, member.stop())) return member.stop().status();
  auto servers = servers_of(options, model, member);
  if (!servers.ok()) return servers.status();
  const auto others = heeded(*std::move(servers), entry.known, member.announced_sequence(),
                             options.identity.peer_id());
  const auto block_count = static_cast<std::uint32_t>(model.config.block_count);
  return better_span(block_throughput(others, block_count), entry.span, model.held);
}

absl::StatusOr<Entry> enter_swarm(const NodeOptions& options, const ChosenDevices& devices,
                                  MemoryPromise& memory, LoadedModel& model,
                                  net::ChannelPool& channels, Membership& member,
                                  OwnRecordWatch& own_record) {
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
      if (!fits.ok()) return member.rejoined() ? own_swarm_instead(fits, options) : fits;
    }
  }
  std::uint32_t most = 0;  // blocks in a row that are here
  for (const proto::Span& run : model.held) most = std::max(most, run.size());
  entry.gpus = gpu_ids(devices);
  entry.room = memory.look(devices, options.memory, false);
  auto plan = plan_span(options, devices, entry.room.devices, model, most);
  if (!plan.ok()) {
    memory.let_go();
    return plan.status();
  }
  entry.blocks_plan = entry.plan = *std::move(plan);
  // With room for any ends, as long as the span is not chosen.
  entry.ends = {.embedding = options.ends != EndsMode::kOff,
                .head = options.ends != EndsMode::kOff};
  memory.keep(entry.claim(model));
  const auto span = choose_blocks(options, model, member, entry);
  if (!span.ok()) return span.status();
  if (absl::Status settled = settle_span(options, model, *span, entry); !settled.ok()) {
    return settled;
  }
  memory.keep(entry.claim(model));
  return entry;
}

}  // namespace shoal::node
