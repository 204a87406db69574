// SPDX-License-Identifier: Apache-2.0
#include "client/text/local_pipeline.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "client/text/own_scores.h"
#include "model/memory_needs.h"
#include "model/sizing.h"
#include "model/tensor_list.h"
#include "proto/offer.h"

namespace shoal::client {
namespace {

// Bounds the scratch memory of a prefill.
constexpr std::size_t kChunkRows = 256;
// The time until Ctrl-C is heeded and progress is seen: a slow machine takes smaller chunks.
constexpr std::size_t kFirstChunkRows = 64, kSmallestChunkRows = 16;
constexpr double kChunkSeconds = 0.5;

// As a node would say it that keeps its blocks so.
proto::Numerics numerics_of(const UserModel& user_model, kernels::KvDType kv,
                            model::WeightChoice weights) {
  const bool stored = weights == model::WeightChoice::kStored;
  return {
      stored ? proto::Compute::kF32 : proto::Compute::kI8,
      proto::weight_format_of(stored ? model::stored_type(user_model.config, *user_model.checkpoint)
                                     : model::name_of(weights)),
      proto::kv_format_of(kernels::kv_dtype_name(kv))};
}

}  // namespace

LocalWeights choose_local_weights(const base::MemoryBudget& budget, const UserModel& user_model,
                                  std::int64_t positions, kernels::KvDType kv_dtype) {
  std::vector<model::MemoryNeeds> needs;
  for (const model::WeightChoice weights : model::kWeightChoices) {
    model::MemoryNeeds& each = needs.emplace_back(
        model::memory_needs(user_model.config, *user_model.checkpoint,
                            static_cast<std::int64_t>(kChunkRows), kv_dtype, weights));
    for (const model::TensorSpec& tensor : model::end_tensors(user_model.config)) {
      const auto found = user_model.checkpoint->tensors().find(tensor.name);
      if (found != user_model.checkpoint->tensors().end()) {
        each.workspace_bytes += found->second.bytes;
      }
    }
  }
  model::MemoryWishes wishes;
  wishes.blocks = user_model.block_count();
  wishes.kv_positions =
      (positions + model::kPagePositions - 1) / model::kPagePositions * model::kPagePositions;
  const auto plan = model::choose_weights({&budget, 1}, needs, *wishes.blocks, wishes);
  if (plan.ok()) return {plan->weights, plan->reason};
  const model::WeightChoice least = model::kWeightChoices.back();
  return {least, std::string(name_of(least)) + ", though the model does not fit into " +
                     budget.all.from + " in any format"};
}

absl::StatusOr<std::unique_ptr<LocalPipeline>> LocalPipeline::create(
    const UserModel& user_model, std::int64_t positions, const base::StopToken& interrupt,
    const LocalOptions& options) {
  std::unique_ptr<LocalPipeline> pipeline(new LocalPipeline(user_model, interrupt));
  pipeline->chunk_rows_ = kFirstChunkRows;
  pipeline->kinds_.assign(user_model.block_count(),
                          numerics_of(user_model, options.kv_dtype, options.weights));
  auto runner = model::SpanRunner::load(user_model.config, *user_model.checkpoint, 0,
                                        user_model.config.block_count, *user_model.executor,
                                        {.rows = static_cast<std::int64_t>(kChunkRows),
                                         .kv_positions = positions,
                                         .weights = options.weights,
                                         .pack = options.pack});
  if (!runner.ok()) return runner.status();
  pipeline->runner_ = *std::move(runner);
  auto pool = model::KvPool::create(*user_model.executor,
                                    pipeline->runner_->kv_shape(options.kv_dtype), positions);
  if (!pool.ok()) return pool.status();
  pipeline->pool_ = *std::move(pool);
  auto lease = pipeline->pool_->lease(positions);
  CHECK(lease.has_value()) << "a pool made for one lease";
  pipeline->lease_ = *std::move(lease);
  return pipeline;
}

absl::StatusOr<std::vector<float>> LocalPipeline::append(std::span<const std::int32_t> ids,
                                                         RowsWanted rows) {
  CHECK(!ids.empty());
  const auto started = std::chrono::steady_clock::now();
  std::vector<float> wanted;
  for (std::size_t begin = 0, count = 0; begin < ids.size(); begin += count) {
    if (interrupt_.stopped()) return interrupt_.status();
    if (on_rows_) on_rows_(begin, ids.size());
    const auto chunk_started = std::chrono::steady_clock::now();
    count = std::min(chunk_rows_, ids.size() - begin);
    auto x = user_model_.ends->embed(ids.subspan(begin, count));
    if (!x.ok()) return x.status();
    const auto step_rows = static_cast<std::int64_t>(count);
    lease_.prepare(position_, step_rows);
    const std::size_t before = wanted.size(), hidden = user_model_.hidden();
    if (rows == RowsWanted::kAll) {
      wanted.resize(before + count * hidden);
    } else if (rows == RowsWanted::kLast && begin + count == ids.size()) {
      wanted.resize(hidden);
    }
    const model::SequenceStep step{&lease_, position_, step_rows, *x,
                                   std::span(wanted).subspan(before)};
    runner_->begin({&step, 1}, 0, user_model_.config.block_count);
    runner_->finish();
    lease_.advance(step_rows);
    position_ += step_rows;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - chunk_started;
    if (took.count() > kChunkSeconds) {
      chunk_rows_ = std::max(kSmallestChunkRows, count / 2);
    } else if (count == chunk_rows_ && took.count() < kChunkSeconds / 3) {
      chunk_rows_ = std::min(kChunkRows, chunk_rows_ * 2);
    }
  }
  if (absl::Status intact = runner_->check(); !intact.ok()) {
    if (!absl::IsDataLoss(intact)) return intact;
    return absl::DataLossError(std::string(intact.message()) +
                               ": start again, and it is made anew");
  }
  if (on_rows_) on_rows_(ids.size(), ids.size());
  timing_.total_us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count();
  timing_.return_us = 0;
  timing_.hops = {{{}, {0, user_model_.block_count()}, 0, timing_.total_us, 0}};
  return wanted;
}

absl::Status LocalPipeline::next_scores(std::span<const std::int32_t> ids,
                                        const proto::ScoresWanted& /*wanted*/, Scores& scores) {
  return own_next_scores(*this, user_model_, ids, scores);
}

absl::Status LocalPipeline::each_scores(std::span<const std::int32_t> ids,
                                        const proto::ScoresWanted& /*wanted*/,
                                        const ScoreSink& sink) {
  return own_each_scores(*this, user_model_, ids, sink);
}

void LocalPipeline::truncate(std::int64_t position) {
  CHECK(0 <= position && position <= position_) << position;
  position_ = position;
}

}  // namespace shoal::client
