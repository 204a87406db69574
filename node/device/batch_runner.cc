// SPDX-License-Identifier: Apache-2.0
#include "node/device/batch_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "kernels/executor.h"
#include "model/span_runner.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;

bool all_finite(std::span<const float> values) {
  // An exponent of all ones is an infinity or a NaN. Without a branch, so that it vectorises.
  constexpr std::uint32_t kExponent = 0x7f800000u;
  std::uint32_t bad = 0;
  for (const float value : values)
    bad |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
  return bad == 0;
}

}  // namespace

BatchRunner::BatchRunner(proto::Span span, std::int64_t hidden) : span_(span), hidden_(hidden) {}
BatchRunner::~BatchRunner() = default;

absl::StatusOr<std::unique_ptr<BatchRunner>> BatchRunner::load(const model::ModelConfig& config,
                                                               const model::Checkpoint& checkpoint,
                                                               proto::Span span, int threads) {
  std::unique_ptr<BatchRunner> result(new BatchRunner(span, config.hidden));
  result->executor_ = kernels::Executor::cpu(threads);
  auto runner =
      model::SpanRunner::load(config, checkpoint, span.begin, span.end, *result->executor_);
  if (!runner.ok()) return runner.status();
  result->runner_ = std::move(*runner);
  return result;
}

std::unique_ptr<model::KvPool> BatchRunner::make_pool(std::int64_t positions) const {
  return std::make_unique<model::KvPool>(runner_->kv_shape(), positions / kernels::kPagePositions);
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
    const model::SequenceStep step{&*lease, row, 1};
    const auto started = Clock::now();
    runner_->run({&step, 1}, span_.begin, span_.end, x);
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    lease->advance(1);
    if (!all_finite(x)) {
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
  std::vector<model::SequenceStep> sequences;
  std::int64_t rows = 0;
  for (const BatchWork& work : group) {
    sequences.push_back(
        {&work.session->lease, work.step->input.start_position + work.step->rows_done, work.rows});
    rows += work.rows;
  }
  std::span<float> x = rows_of(group.front());
  if (group.size() > 1) {
    gathered_.resize(rows * hidden_);
    float* to = gathered_.data();
    for (const BatchWork& work : group) to = std::ranges::copy(rows_of(work), to).out;
    x = gathered_;
  }
  const proto::Span blocks = group.front().session->span;
  const auto started = Clock::now();
  runner_->run(sequences, blocks.begin, blocks.end, x);
  const auto took = Clock::now() - started;

  const float* from = x.data();
  for (BatchWork& work : group) {
    const std::span<float> own = rows_of(work);
    if (group.size() > 1) std::memcpy(own.data(), from, own.size_bytes());
    from += own.size();
    work.finite = all_finite(own);
    work.step->compute += took;
  }
  const auto us = std::chrono::duration<float, std::micro>(took).count();
  batch.us += us;
  batch.block_us = us / blocks.size();
  batch.rows += rows;
}

}  // namespace shoal::node
