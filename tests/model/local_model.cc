// SPDX-License-Identifier: Apache-2.0
#include "tests/model/local_model.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "kernels/executor.h"
#include "tests/model/engine.h"

namespace shoal::model {
namespace {

constexpr std::int64_t kMaxRows = 2048;  // of one call

}  // namespace

std::unique_ptr<LocalModel> LocalModel::load(const std::string& directory, const Options& options) {
  std::unique_ptr<LocalModel> model(new LocalModel);
  absl::StatusOr<ModelConfig> config = load_config(directory);
  CHECK(config.ok()) << config.status();
  model->config_ = *std::move(config);
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(directory);
  CHECK(checkpoint.ok()) << checkpoint.status();
  model->checkpoint_ = std::make_unique<Checkpoint>(*std::move(checkpoint));
  model->cpu_ = kernels::Executor::cpu(options.threads);
  absl::StatusOr<ModelEnds> ends =
      ModelEnds::load(model->config_, *model->checkpoint_, *model->cpu_);
  CHECK(ends.ok()) << ends.status();
  model->ends_ = std::make_unique<ModelEnds>(*std::move(ends));
  if (!options.on_cpu) model->engine_ = make_engine(options.threads);
  kernels::Executor& executor = options.on_cpu ? *model->cpu_ : *model->engine_;

  model->edges_ = {0};
  model->edges_.insert(model->edges_.end(), options.cuts.begin(), options.cuts.end());
  model->edges_.push_back(model->config_.block_count);
  for (std::size_t i = 0; i + 1 < model->edges_.size(); ++i) {
    absl::StatusOr<std::unique_ptr<SpanRunner>> runner = SpanRunner::load(
        model->config_, *model->checkpoint_, model->edges_[i], model->edges_[i + 1], executor,
        {.rows = kMaxRows, .kv_positions = options.positions, .weights = options.weights});
    CHECK(runner.ok()) << runner.status();
    absl::StatusOr<std::unique_ptr<KvPool>> pool =
        KvPool::create(executor, (*runner)->kv_shape(options.kv_dtype), options.positions);
    CHECK(pool.ok()) << pool.status();
    model->pools_.push_back(*std::move(pool));
    model->runners_.push_back(*std::move(runner));
  }
  return model;
}

void LocalModel::poison_pages() {
  kernels::Executor& executor = engine_ == nullptr ? *cpu_ : *engine_;
  for (const std::unique_ptr<KvPool>& pool : pools_) {
    std::optional<KvLease> all = pool->lease(pool->total_positions());
    CHECK(all.has_value()) << "pages are held";
    all->prepare(0, pool->total_positions());
    const std::string nan(pool->shape().page_bytes() *
                              static_cast<std::size_t>(pool->total_positions() / kPagePositions),
                          '\xff');
    executor.upload(pool->pages().data, nan.data(), nan.size());
  }
}

LocalSession LocalModel::session(std::int64_t max_positions) const {
  LocalSession session;
  for (const std::unique_ptr<KvPool>& pool : pools_) {
    std::optional<KvLease> lease = pool->lease(max_positions);
    CHECK(lease.has_value());
    session.leases.push_back(*std::move(lease));
  }
  return session;
}

Rows LocalModel::run(const std::vector<LocalStep>& steps) {
  Ids ids;
  for (const LocalStep& step : steps) ids.insert(ids.end(), step.ids.begin(), step.ids.end());
  absl::StatusOr<Rows> x = ends_->embed(ids);
  CHECK(x.ok()) << x.status();
  for (std::size_t i = 0; i < runners_.size(); ++i) {
    std::vector<SequenceStep> sequences;
    std::span<float> left = *x;
    for (const LocalStep& step : steps) {
      KvLease& lease = step.session->leases[i];
      const std::int64_t rows = static_cast<std::int64_t>(step.ids.size());
      lease.prepare(step.start, rows);
      const std::span<float> own = left.first(static_cast<std::size_t>(rows * config_.hidden));
      left = left.subspan(own.size());
      sequences.push_back(
          {.lease = &lease, .start_position = step.start, .rows = rows, .x = own, .out = own});
    }
    runners_[i]->begin(sequences, edges_[i], edges_[i + 1]);
    runners_[i]->finish();
    for (const SequenceStep& sequence : sequences) sequence.lease->advance(sequence.rows);
  }
  return *std::move(x);
}

Rows LocalModel::run(LocalSession& session, std::int64_t start, const Ids& ids) {
  return run({{.session = &session, .start = start, .ids = ids}});
}

Rows LocalModel::logits(std::span<const float> rows) const {
  Rows result(rows.size() / static_cast<std::size_t>(config_.hidden) *
              static_cast<std::size_t>(config_.vocabulary));
  ends_->logits(rows, result);
  return result;
}

Rows LocalModel::last_logits(std::span<const float> rows) const {
  return logits(rows.last(static_cast<std::size_t>(config_.hidden)));
}

std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace shoal::model
