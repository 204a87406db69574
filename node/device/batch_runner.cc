// SPDX-License-Identifier: Apache-2.0
#include "node/device/batch_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "kernels/executor.h"

namespace shoal::node {
namespace {

// What it takes from choosing a batch until its kernels are queued, a few times over.
constexpr std::chrono::microseconds kLead{300};

}  // namespace

BatchRunner::~BatchRunner() = default;

absl::StatusOr<std::unique_ptr<BatchRunner>> BatchRunner::load(const model::ModelConfig& config,
                                                               const model::Checkpoint& checkpoint,
                                                               proto::Span span,
                                                               std::vector<DeviceShare> shares,
                                                               const model::SpanOptions& options) {
  std::unique_ptr<BatchRunner> result(new BatchRunner(span, config.hidden));
  proto::BlockIndex begin = span.begin;
  for (DeviceShare& share : shares) {
    const proto::Span own{begin, begin + share.blocks};
    auto stage = Stage::load(config, checkpoint, own, std::move(share.executor), options);
    if (!stage.ok()) return stage.status();
    result->works_ahead_ = result->works_ahead_ || (*stage)->executor().works_ahead();
    result->stages_.push_back(*std::move(stage));
    begin = own.end;
  }
  CHECK(begin == span.end) << "devices for blocks " << span.begin << ":" << begin << " of "
                           << proto::to_string(span);
  return result;
}

absl::StatusOr<std::vector<std::unique_ptr<model::KvPool>>> BatchRunner::make_pools(
    std::int64_t positions, kernels::KvDType dtype) const {
  std::vector<std::unique_ptr<model::KvPool>> pools;
  for (const std::unique_ptr<Stage>& stage : stages_) {
    auto pool =
        model::KvPool::create(stage->executor(), stage->runner().kv_shape(dtype), positions);
    if (!pool.ok()) return pool.status();
    pools.push_back(*std::move(pool));
  }
  return pools;
}

absl::StatusOr<double> BatchRunner::warm_up(std::span<const std::unique_ptr<model::KvPool>> pools) {
  constexpr std::int64_t kRows = 4;
  std::vector<model::KvLease> leases;
  for (const std::unique_ptr<model::KvPool>& pool : pools) {
    std::optional<model::KvLease> lease = pool->lease(kRows);
    CHECK(lease.has_value()) << "an empty pool of " << pool->total_positions();
    leases.push_back(*std::move(lease));
  }
  double best_us = 0;
  std::vector<float> x(hidden_);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t i = 0; i < hidden_; ++i) x[i] = 0.01f * static_cast<float>((i + row) % 7 - 3);
    const auto started = Clock::now();
    bool finite = true;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      leases[i].prepare(row, 1);
      const model::SequenceStep step{&leases[i], row, 1, x, x, &finite};
      stages_[i]->runner().begin({&step, 1}, stages_[i]->span().begin, stages_[i]->span().end);
      stages_[i]->runner().finish();
      leases[i].advance(1);
    }
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
    if (!finite) {
      return absl::InvalidArgumentError(
          fmt::format("blocks {} compute values that are not finite: the model's weights are "
                      "damaged; download them again",
                      proto::to_string(span_)));
    }
    best_us = row == 0 ? us : std::min(best_us, us);
  }
  return best_us;
}

absl::Status BatchRunner::check() const {
  for (const std::unique_ptr<Stage>& stage : stages_) {
    if (absl::Status intact = stage->runner().check(); !intact.ok()) return intact;
  }
  return absl::OkStatus();
}

bool BatchRunner::has_room(Clock::time_point now) const {
  if (!works_ahead_) return batches_.empty();
  const Stage& first = *stages_.front();
  return batches_.size() <= stages_.size() &&
         (first.empty() || first.expected_end() <= now + kLead);
}

void BatchRunner::begin(RunningBatch batch) {
  batches_.push_back({std::move(batch), 0});
  UnderWay& own = batches_.back();
  std::vector<BatchWork>& work = own.batch.work;
  std::vector<Flight> flights;
  for (std::size_t begin = 0; begin < work.size();) {
    std::size_t end = begin;
    while (end < work.size() && work[end].session->span == work[begin].session->span) {
      own.batch.rows += work[end++].rows;
    }
    flights.push_back({&own.batch, std::span(work).subspan(begin, end - begin)});
    begin = end;
  }
  own.flights = flights.size();
  for (const Flight& flight : flights) put(flight);
}

Stage& BatchRunner::stage_of(const Flight& flight) {
  return *stages_[flight.work.front().session->lease.at(flight.place).stage];
}

void BatchRunner::put(const Flight& flight) {
  Stage& stage = stage_of(flight);
  const double share = static_cast<double>(stage.span().size()) / span_.size();
  const double expected_us = flight.batch->expected_us * share;
  stage.put(flight, expected_us);
}

std::optional<RunningBatch> BatchRunner::next_done() {
  // The last stage first, so that what it lets go of makes room.
  for (std::size_t i = stages_.size(); i-- > 0;) {
    while (std::optional<Flight> flight = stages_[i]->next_done()) {
      if (++flight->place < flight->work.front().session->lease.stages()) {
        put(*flight);
      } else {
        land(*flight);
      }
    }
  }
  const auto done = std::find_if(batches_.begin(), batches_.end(),
                                 [](const UnderWay& batch) { return batch.flights == 0; });
  if (done == batches_.end()) return std::nullopt;
  RunningBatch batch = std::move(done->batch);
  batches_.erase(done);
  return batch;
}

void BatchRunner::land(const Flight& flight) {
  for (const BatchWork& work : flight.work) work.step->compute += flight.took;
  RunningBatch& batch = *flight.batch;
  const auto us = std::chrono::duration<float, std::micro>(flight.took).count();
  batch.us += us;
  batch.block_us = us / flight.work.front().session->span.size();
  const auto own = std::find_if(batches_.begin(), batches_.end(), [&](const UnderWay& under_way) {
    return &under_way.batch == &batch;
  });
  --own->flights;
}

}  // namespace shoal::node
