// SPDX-License-Identifier: Apache-2.0
#include "node/device/batch_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/check.h"
#include "base/finite.h"
#include "kernels/executor.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

BatchRunner::BatchRunner(proto::Span span, std::int64_t hidden) : span_(span), hidden_(hidden) {}
BatchRunner::~BatchRunner() = default;

absl::StatusOr<std::unique_ptr<BatchRunner>> BatchRunner::load(
    const model::ModelConfig& config, const model::Checkpoint& checkpoint, proto::Span span,
    std::unique_ptr<kernels::Executor> executor, const model::SpanOptions& options) {
  std::unique_ptr<BatchRunner> result(new BatchRunner(span, config.hidden));
  result->executor_ = std::move(executor);
  auto runner = model::SpanRunner::load(config, checkpoint, span.begin, span.end,
                                        *result->executor_, options);
  if (!runner.ok()) return runner.status();
  result->runner_ = std::move(*runner);
  return result;
}

absl::StatusOr<std::unique_ptr<model::KvPool>> BatchRunner::make_pool(
    std::int64_t positions, kernels::KvDType dtype) const {
  return model::KvPool::create(*executor_, runner_->kv_shape(dtype), positions);
}

absl::StatusOr<double> BatchRunner::warm_up(model::KvPool& pool) {
  constexpr std::int64_t kRows = 4;
  std::optional<model::KvLease> lease = pool.lease(kRows);
  CHECK(lease.has_value()) << "an empty pool of " << pool.total_positions();
  double best_us = 0;
  std::vector<float> x(hidden_);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t i = 0; i < hidden_; ++i) x[i] = 0.01f * static_cast<float>((i + row) % 7 - 3);
    lease->prepare(row, 1);
    const model::SequenceStep step{&*lease, row, 1, x, x};
    const auto started = Clock::now();
    runner_->begin({&step, 1}, span_.begin, span_.end);
    runner_->finish();
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    lease->advance(1);
    if (!base::all_finite(x)) {
      return absl::InvalidArgumentError(
          fmt::format("blocks {} compute values that are not finite: the model's weights are "
                      "damaged; download them again",
                      proto::to_string(span_)));
    }
    best_us = row == 0 ? us : std::min(best_us, us);
  }
  return best_us;
}

void BatchRunner::run(RunningBatch& batch) {
  std::vector<BatchWork>& work = batch.work;
  for (std::size_t begin = 0; begin < work.size();) {
    std::size_t end = begin;
    while (end < work.size() && work[end].session->span == work[begin].session->span) ++end;
    run_group(batch, std::span(work).subspan(begin, end - begin));
    begin = end;
  }
}

std::span<float> BatchRunner::rows_of(const BatchWork& work) const {
  return std::span(work.step->input.x).subspan(work.step->rows_done * hidden_, work.rows * hidden_);
}

void BatchRunner::run_group(RunningBatch& batch, std::span<BatchWork> group) {
  sequences_.clear();
  std::int64_t rows = 0;
  for (const BatchWork& work : group) {
    const std::span<float> x = rows_of(work);
    sequences_.push_back({&work.session->lease,
                          work.step->input.start_position + work.step->rows_done, work.rows, x, x});
    rows += work.rows;
  }
  const proto::Span blocks = group.front().session->span;
  const auto started = Clock::now();
  runner_->begin(sequences_, blocks.begin, blocks.end);
  runner_->finish();
  const auto took = Clock::now() - started;

  for (BatchWork& work : group) {
    work.finite = base::all_finite(rows_of(work));
    work.step->compute += took;
  }
  const auto us = std::chrono::duration<float, std::micro>(took).count();
  batch.us += us;
  batch.block_us = us / blocks.size();
  batch.rows += rows;
}

}  // namespace shoal::node
