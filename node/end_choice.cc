// SPDX-License-Identifier: Apache-2.0
#include "node/end_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/memory_size.h"

namespace shoal::node {
namespace {

const char* name_of(const model::EndParts& parts) {
  return parts.embedding && parts.head ? "embedding and head" : parts.head ? "head" : "embedding";
}

// The plan with the ends; nullopt: they do not fit.
std::optional<model::MemoryPlan> plan_with_ends(const EndsQuestion& question) {
  if (question.host) {
    const std::uint64_t usable = model::usable_bytes(question.host->all, {});
    return usable >= question.needs.all_bytes() ? std::optional(question.plan) : std::nullopt;
  }
  model::MemoryNeeds needs = question.blocks;
  needs.fixed_bytes = question.needs.all_bytes();
  needs.own_fixed_bytes = question.needs.own_bytes;
  model::MemoryWishes wishes = question.wishes;
  wishes.blocks = question.plan.blocks;
  auto plan = model::plan_memory(question.devices, needs, question.block_count, wishes);
  const std::int64_t least = question.mode == EndsMode::kOn
                                 ? 0
                                 : std::min(question.plan.kv_positions, model::kLeastKvPositions);
  if (!plan.ok() || plan->kv_positions < least) return std::nullopt;
  return *std::move(plan);
}

}  // namespace

model::EndParts ends_of(proto::Span span, std::uint32_t block_count) {
  return {.embedding = span.begin == 0, .head = span.end == block_count};
}

absl::StatusOr<EndsAnswer> choose_ends(const EndsQuestion& question) {
  EndsAnswer answer{{}, question.plan, ""};
  if (question.mode == EndsMode::kOff) return answer;
  const bool must = question.mode == EndsMode::kOn;
  if (!question.reached.any()) {
    if (!must) return answer;
    return absl::FailedPreconditionError(
        "--ends on: this node has neither the first nor the last block of the model, so it has no "
        "end to serve: leave --ends out, or choose other --blocks");
  }
  const std::string name = name_of(question.reached);
  if (!question.missing.empty()) {
    const std::string what =
        fmt::format("the model folder lacks {}", fmt::join(question.missing, ", "));
    if (must) {
      return absl::FailedPreconditionError(
          fmt::format("--ends on: {}: fetch the files that hold them, or leave --ends out", what));
    }
    answer.reason = fmt::format("the model's {} not served: {}",
                                question.reached.embedding && question.reached.head ? "ends are"
                                : question.reached.head                             ? "head is"
                                                        : "embedding is",
                                what);
    return answer;
  }
  const std::string size = base::memory_text(question.needs.all_bytes());
  if (auto plan = plan_with_ends(question)) {
    answer.parts = question.reached;
    answer.plan = *std::move(plan);
    answer.reason =
        fmt::format("serves the model's {} too, in {}: clients need no weights", name, size);
    return answer;
  }
  if (must) {
    return absl::ResourceExhaustedError(fmt::format(
        "--ends on: there is no room for the model's {} ({}) beside {} blocks: serve fewer "
        "(--blocks), keep fewer --kv-positions, raise the limit, or give --ends off",
        name, size, question.plan.blocks));
  }
  answer.reason = fmt::format(
      "there is no room for the model's {} ({}) beside the blocks: other nodes, or clients, "
      "compute them",
      name, size);
  return answer;
}

}  // namespace shoal::node
