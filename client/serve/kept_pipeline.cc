// SPDX-License-Identifier: Apache-2.0
#include "client/serve/kept_pipeline.h"

#include <utility>

namespace shoal::client {
namespace {

class Lent : public Pipeline {
 public:
  explicit Lent(Pipeline& kept) : kept_(kept) {}

  absl::StatusOr<std::vector<float>> append(std::span<const std::int32_t> ids,
                                            RowsWanted rows) override {
    return kept_.append(ids, rows);
  }
  absl::Status next_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           Scores& scores) override {
    return kept_.next_scores(ids, wanted, scores);
  }
  absl::Status each_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           const ScoreSink& sink) override {
    return kept_.each_scores(ids, wanted, sink);
  }
  std::optional<proto::WeightFormat> remote_head() const override { return kept_.remote_head(); }
  void truncate(std::int64_t position) override { kept_.truncate(position); }
  std::int64_t position() const override { return kept_.position(); }
  Route route() const override { return kept_.route(); }
  int reroutes() const override { return kept_.reroutes(); }
  std::int64_t reused_positions() const override { return 0; }
  BlockKinds kinds() const override { return kept_.kinds(); }
  bool exact() const override { return kept_.exact(); }
  const StepTiming& timing() const override { return kept_.timing(); }

 private:
  Pipeline& kept_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Pipeline>> KeptPipeline::lend(std::int64_t positions) {
  if (kept_ == nullptr || positions > room_) {
    kept_.reset();  // its memory first
    room_ = std::max(room_, positions);
    auto opened = open_(room_);
    if (!opened.ok()) return opened.status();
    kept_ = *std::move(opened);
  }
  kept_->truncate(0);
  return std::make_unique<Lent>(*kept_);
}

}  // namespace shoal::client
