// SPDX-License-Identifier: Apache-2.0
// The whole model in this process: the reference that every swarm run is held against.
#pragma once

#include <memory>
#include <string>

#include "base/memory_budget.h"
#include "base/stop_token.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "model/kv_pool.h"
#include "model/span_layers.h"
#include "model/span_runner.h"
#include "model/weight_choice.h"

namespace shoal::client {

struct LocalOptions {
  kernels::KvDType kv_dtype = kernels::KvDType::kF32;
  model::WeightChoice weights = model::WeightChoice::kStored;
  model::PackOptions pack = {};
};

// For --weights auto: the widest format in which the whole model fits into the budget, with KV for
// `positions` and the model's ends; the narrowest when none does.
struct LocalWeights {
  model::WeightChoice weights = model::WeightChoice::kStored;
  std::string reason;  // one line
};
LocalWeights choose_local_weights(const base::MemoryBudget& budget, const UserModel& user_model,
                                  std::int64_t positions, kernels::KvDType kv_dtype);

class LocalPipeline : public Pipeline {
 public:
  // KV for `positions`. `user_model` and `interrupt` must outlive the pipeline.
  static absl::StatusOr<std::unique_ptr<LocalPipeline>> create(const UserModel& user_model,
                                                               std::int64_t positions,
                                                               const base::StopToken& interrupt,
                                                               const LocalOptions& options = {});

  absl::StatusOr<std::vector<float>> append(std::span<const std::int32_t> ids,
                                            RowsWanted rows) override;
  absl::Status next_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           Scores& scores) override;
  absl::Status each_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           const ScoreSink& sink) override;
  void truncate(std::int64_t position) override;
  std::int64_t position() const override { return position_; }
  Route route() const override { return {}; }
  int reroutes() const override { return 0; }
  std::int64_t reused_positions() const override { return 0; }
  BlockKinds kinds() const override { return kinds_; }
  bool exact() const override { return true; }
  const StepTiming& timing() const override { return timing_; }

 private:
  LocalPipeline(const UserModel& user_model, const base::StopToken& interrupt)
      : user_model_(user_model), interrupt_(interrupt) {}

  const UserModel& user_model_;
  const base::StopToken& interrupt_;
  std::unique_ptr<model::SpanRunner> runner_;
  std::unique_ptr<model::KvPool> pool_;
  model::KvLease lease_;
  std::int64_t position_ = 0;
  std::size_t chunk_rows_ = 1;  // of a prefill, as this machine bears
  StepTiming timing_;
  BlockKinds kinds_;
};

}  // namespace shoal::client
