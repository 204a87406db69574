// SPDX-License-Identifier: Apache-2.0
#include "node/memory_promise.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace shoal::node {
namespace {

// Looking and planning takes milliseconds; a node that was stopped in between holds nobody up.
constexpr std::chrono::milliseconds kTurnTimeout{5'000};
// The program itself, connections, queues: as model/sizing.cc leaves at least.
constexpr std::uint64_t kProgramBytes = 96u << 20;

std::string sentence_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

base::MemoryClaim claim_of(const model::MemoryNeeds& needs, const model::EndNeeds& ends,
                           const model::MemoryPlan& plan, std::span<const std::string> gpus) {
  base::MemoryClaim claim;
  claim.mapped_bytes = ends.all_bytes() - std::min(ends.all_bytes(), ends.own_bytes);
  claim.own_bytes = ends.own_bytes + kProgramBytes;
  const std::uint64_t kv_of_block =
      needs.block_position_kv_bytes * static_cast<std::uint64_t>(plan.kv_positions);
  if (gpus.empty()) {
    const std::uint64_t weights = needs.block_weight_bytes * plan.blocks;
    (needs.packed ? claim.own_bytes : claim.mapped_bytes) += weights;
    claim.own_bytes += kv_of_block * plan.blocks + needs.workspace_bytes;
    return claim;
  }
  for (std::size_t i = 0; i < gpus.size() && i < plan.shares.size(); ++i) {
    if (plan.shares[i] == 0) continue;
    claim.devices[gpus[i]] +=
        (needs.block_weight_bytes + kv_of_block) * plan.shares[i] + needs.workspace_bytes;
  }
  return claim;
}

base::MemoryClaim sum_of(const base::MemoryClaim& a, const base::MemoryClaim& b) {
  base::MemoryClaim sum = a;
  sum.mapped_bytes += b.mapped_bytes;
  sum.own_bytes += b.own_bytes;
  for (const auto& [id, bytes] : b.devices) sum.devices[id] += bytes;
  return sum;
}

std::vector<std::string> gpu_ids(const ChosenDevices& devices) {
  std::vector<std::string> ids;
  for (const auto& executor : devices.executors) {
    const auto memory = executor->memory();
    ids.push_back(memory ? memory->id : "?");
  }
  return ids;
}

MemoryPromise::MemoryPromise(const std::string& folder) {
  if (folder.empty()) return;
  auto ledger = base::MemoryLedger::open(folder, "/");
  if (ledger.ok()) {
    ledger_ = *std::move(ledger);
  } else {
    note(sentence_of(ledger.status()));
  }
}

void MemoryPromise::note(const std::string& text) {
  if (!noted_.insert(text).second) return;
  spdlog::warn("what other nodes on this machine have reserved of its memory is not known: {}",
               text);
}

bool MemoryPromise::take_turn() {
  if (ledger_ == nullptr) return false;
  if (turn_) return true;
  auto turn = ledger_->take_turn(kTurnTimeout);
  if (!turn.ok()) {
    note(sentence_of(turn.status()));
    return false;
  }
  turn_.emplace(*std::move(turn));
  return true;
}

SpanRoom MemoryPromise::look(const ChosenDevices& devices,
                             const std::optional<base::MemorySize>& most, bool beside_own) {
  base::PromisedMemory promised;
  if (take_turn()) {
    promised = ledger_->promised(*turn_, beside_own);
  } else if (beside_own) {
    promised.own = kept_.mapped_bytes + kept_.own_bytes;  // more, where some was touched
    promised.pools[base::kHostPool] = promised.own;
  }
  for (const std::string& text : promised.notes) note(text);
  SpanRoom room{budgets_on(devices, most, promised), std::nullopt};
  if (!devices.executors.empty()) {
    room.host = base::memory_budget("/", base::process_limits(), std::nullopt, promised);
  }
  return room;
}

void MemoryPromise::keep(const base::MemoryClaim& claim) {
  kept_ = claim;
  if (take_turn()) {
    if (const absl::Status told = ledger_->claim(*turn_, claim); !told.ok())
      note(sentence_of(told));
  }
  turn_.reset();
}

void MemoryPromise::loaded() {
  if (kept_.devices.empty()) return;
  base::MemoryClaim claim = kept_;
  claim.devices.clear();
  keep(claim);
}

}  // namespace shoal::node
