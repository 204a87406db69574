// SPDX-License-Identifier: Apache-2.0
#include "node/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/memory_ledger.h"
#include "kernels/bandwidth.h"
#include "kernels/cpu_executor.h"
#include "kernels/cpu_kernels.h"
#include "node/device/executors.h"
#include "node/device/loaded_model.h"
#include "node/end_choice.h"
#include "node/entry.h"
#include "node/hub_span.h"
#include "node/member/join.h"
#include "node/memory_promise.h"

namespace shoal::node {
namespace {

// More than caches hold, but not all that there is.
constexpr std::uint64_t kMostMeasured = 256u << 20;
constexpr std::uint64_t kLeastMeasured = 16u << 20;
constexpr int kPasses = 5;

double measured_read_bytes_s(kernels::Executor* device, int threads, std::uint64_t usable) {
  if (device != nullptr) return kernels::measure_copy_bandwidth(*device, kMostMeasured, kPasses);
  kernels::CpuExecutor executor(threads);
  const std::uint64_t bytes = std::clamp(usable / 4, kLeastMeasured, kMostMeasured);
  return kernels::measure_read_bandwidth(executor, static_cast<std::int64_t>(bytes), kPasses);
}

// One device after the other.
double read_seconds(std::span<const PlannedDevice> devices, std::span<const std::uint32_t> shares,
                    std::uint64_t block_bytes) {
  double seconds = 0;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    seconds += static_cast<double>(block_bytes * shares[i]) / devices[i].read_bytes_s;
  }
  return seconds;
}

std::string tokens_text(double tokens_s) {
  return tokens_s < 10 ? fmt::format("{:.1f}", tokens_s) : fmt::format("{:.0f}", tokens_s);
}

}  // namespace

NodePlan make_plan(std::span<const PlannedDevice> devices,
                   std::span<const model::MemoryNeeds> needs, std::uint32_t block_count,
                   const model::MemoryWishes& wishes) {
  NodePlan plan;
  plan.blocks = wishes.blocks.value_or(block_count);
  plan.memory = devices.front().budget.all;
  plan.memory.bytes = 0;
  plan.read_bytes_s = devices.front().read_bytes_s;
  std::vector<base::MemoryBudget> budgets;
  for (const PlannedDevice& device : devices) {
    const base::MemoryLimit& all = device.budget.all;
    if (!budgets.empty()) plan.memory.from += ", and " + all.from;
    plan.memory.bytes += all.bytes;
    plan.usable_bytes += model::usable_bytes(all, needs.front());
    plan.read_bytes_s = std::min(plan.read_bytes_s, device.read_bytes_s);
    budgets.push_back(device.budget);
  }
  plan.mma = needs.size() == 1;
  for (std::size_t i = 0; i < needs.size(); ++i) {
    FormatPlan format{.weights = plan.mma ? model::WeightChoice::kMma : model::kWeightChoices[i],
                      .block_bytes = needs[i].block_weight_bytes};
    const auto fits = model::plan_memory(budgets, needs[i], block_count, wishes);
    if (fits.ok()) {
      format.blocks = fits->blocks;
      format.kv_positions = fits->kv_positions;
      format.tokens_s = 1 / read_seconds(devices, fits->shares, format.block_bytes);
    }
    plan.formats.push_back(format);
  }
  if (plan.mma) {
    const auto fits = model::plan_memory(budgets, needs.front(), block_count, wishes);
    if (fits.ok()) plan.chosen = model::WeightChoice::kMma;
    plan.reason = fits.ok() ? fits->reason : std::string(fits.status().message());
    return plan;
  }
  const auto chosen = model::choose_weights(budgets, needs, block_count, wishes);
  if (chosen.ok()) {
    plan.chosen = chosen->weights;
    plan.reason = chosen->reason;
  } else {
    plan.reason = std::string(chosen.status().message());
  }
  return plan;
}

void plan_ends(std::span<const PlannedDevice> devices, std::span<const model::MemoryNeeds> needs,
               std::span<const model::EndNeeds> ends, const std::optional<base::MemoryBudget>& host,
               std::uint32_t block_count, const model::MemoryWishes& wishes, NodePlan& plan) {
  std::vector<base::MemoryBudget> budgets;
  for (const PlannedDevice& device : devices) budgets.push_back(device.budget);
  for (std::size_t i = 0; i < plan.formats.size(); ++i) {
    FormatPlan& format = plan.formats[i];
    format.ends_bytes = ends[i].all_bytes();
    const auto blocks = model::plan_memory(budgets, needs[i], block_count, wishes);
    if (!blocks.ok()) continue;
    EndsQuestion question;
    question.reached = {.embedding = true, .head = true};
    question.needs = ends[i];
    question.devices = budgets;
    question.host = host;
    question.blocks = needs[i];
    question.block_count = block_count;
    question.plan = *blocks;
    question.wishes = wishes;
    const auto answer = choose_ends(question);
    format.ends_fit = answer.ok() && answer->parts.any();
  }
}

std::string plan_text(const NodePlan& plan) {
  const std::string memory =
      plan.memory.given_bytes && plan.usable_bytes == 0
          ? fmt::format("nothing of {} {}", plan.memory.from,
                        base::memory_text(*plan.memory.given_bytes))
          : fmt::format("{} of the {} that {} leaves", base::memory_text(plan.usable_bytes),
                        base::memory_text(plan.memory.bytes), plan.memory.from);
  std::string text = fmt::format(
      "{}, stored as {}: {} can be used; {} reads {:.1f} GB/s\n\n"
      "{:<8} {:>10} {:>10} {:>13} {:>18}  {}\n",
      plan.model, plan.stored, memory, plan.reader, plan.read_bytes_s / 1e9, "weights", "a block",
      "blocks", "KV positions", "tokens/s, at most", "ends");
  for (const FormatPlan& format : plan.formats) {
    const std::string mib =
        fmt::format("{:.1f} MiB", static_cast<double>(format.block_bytes) / 0x1p20);
    const std::string blocks = fmt::format("{} of {}", format.blocks, plan.blocks);
    const std::string ends =
        fmt::format("{:.1f} MiB, {}", static_cast<double>(format.ends_bytes) / 0x1p20,
                    format.ends_fit ? "fit" : "no room");
    text += format.blocks > 0
                ? fmt::format("{:<8} {:>10} {:>10} {:>13} {:>18}  {}\n", name_of(format.weights),
                              mib, blocks, format.kv_positions, tokens_text(format.tokens_s), ends)
                : fmt::format("{:<8} {:>10} {:>10} {:>13} {:>18}  -\n", name_of(format.weights),
                              mib, "none fits", "-", "-");
  }
  const char* const option = plan.mma ? "--compute mma" : "--weights auto";
  text += plan.chosen ? fmt::format("\n{}: {}\n", option, plan.reason)
                      : fmt::format("\nNothing fits: {}\n", plan.reason);
  return text;
}

std::string plan_json(const NodePlan& plan) {
  nlohmann::ordered_json formats = nlohmann::ordered_json::array();
  for (const FormatPlan& format : plan.formats) {
    formats.push_back({{"weights", name_of(format.weights)},
                       {"block_bytes", format.block_bytes},
                       {"blocks", format.blocks},
                       {"kv_positions", format.kv_positions},
                       {"tokens_per_s_at_most", format.tokens_s},
                       {"ends_bytes", format.ends_bytes},
                       {"ends_fit", format.ends_fit}});
  }
  nlohmann::ordered_json object = {{"model", plan.model},
                                   {"stored", plan.stored},
                                   {"blocks", plan.blocks},
                                   {"memory_bytes", plan.memory.bytes},
                                   {"memory_from", plan.memory.from},
                                   {"usable_bytes", plan.usable_bytes},
                                   {"read_bytes_per_s", plan.read_bytes_s},
                                   {"compute", plan.mma ? "mma" : "exact"},
                                   {"formats", formats},
                                   {"auto", nullptr},
                                   {"reason", plan.reason}};
  if (plan.chosen) object["auto"] = name_of(*plan.chosen);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<NodePlan> plan_of(const CommandLine& line) {
  const bool mma = line.weights == model::WeightChoice::kMma;
  static const base::StopToken never;
  const auto found = find_node_model(line.model, never);
  if (!found.ok()) return found.status();
  const bool to_come = found->fetch_span != nullptr;
  auto model = LoadedModel::read(
      found->folder, line.model_name.empty() ? found->name : line.model_name,
      {line.kv_dtype, mma ? model::WeightChoice::kMma : model::WeightChoice::kStored}, to_come);
  if (!model.ok()) return model.status();
  model::MemoryWishes wishes;
  if (line.blocks) {
    absl::Status inside = check_blocks(*line.blocks, own_model(*model));
    if (!inside.ok()) return inside;
    if (absl::Status held = to_come ? absl::OkStatus() : model->check_held(*line.blocks);
        !held.ok()) {
      return held;
    }
    wishes.blocks = line.blocks->size();
  }
  wishes.kv_positions = line.kv_positions;
  std::uint32_t most = 0;  // blocks in a row that are here
  for (const proto::Span& run : model->held) most = std::max(most, run.size());
  const auto chosen = open_chosen(line.device);
  if (!chosen.ok()) return chosen.status();
  if (mma) {
    if (const auto kind = mma_of(*chosen); !kind.ok()) return kind.status();
  }
  std::vector<PlannedDevice> devices;
  MemoryPromise memory(base::MemoryLedger::default_folder());
  const SpanRoom room = memory.look(*chosen, line.memory, false);
  memory.let_go();
  for (const base::MemoryBudget& budget : room.devices) {
    kernels::Executor* const gpu =
        chosen->executors.empty() ? nullptr : chosen->executors[devices.size()].get();
    devices.push_back({budget, measured_read_bytes_s(gpu, line.threads, budget.all.bytes)});
  }
  const std::vector<model::MemoryNeeds> needs =
      mma ? std::vector{model->needs} : needs_of_all(*model, line.kv_dtype);
  NodePlan plan = make_plan(devices, needs, most, wishes);
  std::vector<model::EndNeeds> ends;
  for (const FormatPlan& format : plan.formats) {
    ends.push_back(end_needs_of(*model, {.embedding = true, .head = true}, format.weights));
  }
  plan_ends(devices, needs, ends, room.host, most, wishes, plan);
  if (!chosen->executors.empty()) {
    plan.reader = devices.size() == 1 ? "the GPU" : "the slowest of the GPUs";
  }
  plan.model = model->name;
  plan.stored = model::stored_type(model->config, model->checkpoint);
  return plan;
}

}  // namespace shoal::node
