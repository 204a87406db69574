// SPDX-License-Identifier: Apache-2.0
#include "node/device/stage.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace shoal::node {

absl::StatusOr<std::unique_ptr<Stage>> Stage::load(const model::ModelConfig& config,
                                                   const model::Checkpoint& checkpoint,
                                                   proto::Span span,
                                                   std::unique_ptr<kernels::Executor> executor,
                                                   const model::SpanOptions& options) {
  auto runner =
      model::SpanRunner::load(config, checkpoint, span.begin, span.end, *executor, options);
  if (!runner.ok()) return runner.status();
  return std::unique_ptr<Stage>(
      new Stage(span, config.hidden, std::move(executor), *std::move(runner)));
}

Stage::Stage(proto::Span span, std::int64_t hidden, std::unique_ptr<kernels::Executor> executor,
             std::unique_ptr<model::SpanRunner> runner)
    : span_(span), hidden_(hidden), executor_(std::move(executor)), runner_(std::move(runner)) {}

void Stage::put(const Flight& flight, double expected_us) {
  const auto now = Clock::now();
  const auto takes = std::chrono::microseconds(static_cast<std::int64_t>(expected_us));
  expected_end_ = (empty() ? now : std::max(now, expected_end_)) + takes;
  waiting_.push_back(flight);
  begin_waiting();
}

void Stage::begin_waiting() {
  while (!waiting_.empty() && under_way_.size() < model::SpanRunner::kMostUnderWay) {
    Flight flight = waiting_.front();
    waiting_.pop_front();
    sequences_.clear();
    for (BatchWork& work : flight.work) {
      const std::span<float> x = std::span(work.step->input.x)
                                     .subspan(work.step->rows_done * hidden_, work.rows * hidden_);
      // A value that is not finite stays so in the stages behind.
      sequences_.push_back(
          {.lease = &work.session->lease.at(flight.place).lease,
           .start_position = work.step->input.start_position + work.step->rows_done,
           .rows = work.rows,
           .x = x,
           .out = x,
           .finite = &work.finite});
    }
    const proto::Span blocks = flight.work.front().session->span;
    flight.begun = Clock::now();
    runner_->begin(sequences_, std::max(blocks.begin, span_.begin),
                   std::min(blocks.end, span_.end));
    under_way_.push_back(flight);
  }
}

std::optional<Flight> Stage::next_done() {
  if (under_way_.empty() || !runner_->done()) return std::nullopt;
  runner_->finish();
  Flight flight = under_way_.front();
  under_way_.pop_front();
  // It could not run before the one before it had ended.
  const auto now = Clock::now();
  flight.took += now - std::max(flight.begun, ended_);
  ended_ = now;
  begin_waiting();
  return flight;
}

}  // namespace shoal::node
