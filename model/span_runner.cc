// SPDX-License-Identifier: Apache-2.0
#include "model/span_runner.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "model/block.h"
#include "model/rope.h"

namespace shoal::model {
namespace {

class OperatorSpanRunner final : public SpanRunner {
 public:
  OperatorSpanRunner(const ModelConfig& config, std::int64_t block_begin,
                     std::vector<BlockWeights> blocks, kernels::Executor& executor)
      : config_(config),
        rope_(
            make_rope_table(config.rope, config.block(0).attention.head_dim, config.max_positions)),
        block_begin_(block_begin),
        blocks_(std::move(blocks)),
        executor_(executor),
        scratch_(config) {}

  KvShape kv_shape() const override {
    return {.blocks = static_cast<std::int64_t>(blocks_.size()),
            .kv_heads = config_.block(block_begin_).attention.kv_heads,
            .head_dim = config_.block(block_begin_).attention.head_dim};
  }

  std::size_t weight_bytes() const override {
    std::size_t sum = 0;
    for (const BlockWeights& block : blocks_) sum += block.bytes();
    return sum;
  }

  void run(std::span<const SequenceStep> steps, std::int64_t first_block, std::int64_t last_block,
           std::span<float> x) override {
    const std::int64_t block_end = block_begin_ + static_cast<std::int64_t>(blocks_.size());
    CHECK(block_begin_ <= first_block && first_block <= last_block && last_block <= block_end)
        << "blocks " << first_block << ":" << last_block << " of " << block_begin_ << ":"
        << block_end;
    const std::int64_t rows = lay_out(steps);
    CHECK(static_cast<std::int64_t>(x.size()) == rows * config_.hidden)
        << x.size() << " values for " << rows << " rows of " << config_.hidden;
    if (rows == 0) return;
    scratch_.reserve(rows);
    const BlockStep step{.rope = &rope_, .positions = positions_, .sequences = sequences_};
    const KvShape shape = kv_shape();
    for (std::int64_t block = first_block; block < last_block; ++block) {
      const std::int64_t i = block - block_begin_;
      run_block(executor_, config_.block(block), blocks_[static_cast<std::size_t>(i)], step,
                shape.layout(i), scratch_, {x.data(), rows, config_.hidden, config_.hidden});
    }
  }

 private:
  // Fills sequences_ and positions_; returns the number of rows.
  std::int64_t lay_out(std::span<const SequenceStep> steps) {
    sequences_.clear();
    positions_.clear();
    std::int64_t rows = 0;
    for (const SequenceStep& step : steps) {
      CHECK(step.lease != nullptr && step.rows >= 0);
      // Rows may only be placed where prepare() has made room.
      CHECK(step.start_position == step.lease->position())
          << "start " << step.start_position << " at position " << step.lease->position();
      sequences_.push_back({.row_begin = rows,
                            .rows = step.rows,
                            .start_position = step.start_position,
                            .pages = step.lease->pages()});
      for (std::int64_t r = 0; r < step.rows; ++r) {
        positions_.push_back(static_cast<std::int32_t>(step.start_position + r));
      }
      rows += step.rows;
    }
    return rows;
  }

  const ModelConfig config_;
  const RopeTable rope_;
  const std::int64_t block_begin_;
  const std::vector<BlockWeights> blocks_;
  kernels::Executor& executor_;
  BlockScratch scratch_;
  std::vector<kernels::AttentionSequence> sequences_;  // of the step in hand
  std::vector<std::int32_t> positions_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SpanRunner>> SpanRunner::load(const ModelConfig& config,
                                                             const Checkpoint& checkpoint,
                                                             std::int64_t block_begin,
                                                             std::int64_t block_end,
                                                             kernels::Executor& executor) {
  if (block_begin < 0 || block_begin >= block_end || block_end > config.block_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("blocks ", block_begin, ":", block_end,
                     " are no span of this model; it has blocks 0:", config.block_count));
  }
  std::vector<BlockWeights> blocks;
  for (std::int64_t block = block_begin; block < block_end; ++block) {
    absl::StatusOr<BlockWeights> weights = BlockWeights::load(config, checkpoint, block);
    if (!weights.ok()) return weights.status();
    blocks.push_back(*weights);
  }
  return std::make_unique<OperatorSpanRunner>(config, block_begin, std::move(blocks), executor);
}

}  // namespace shoal::model
