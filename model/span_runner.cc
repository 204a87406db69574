// SPDX-License-Identifier: Apache-2.0
#include "model/span_runner.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/finite_rows.h"
#include "kernels/step_plan.h"
#include "model/block.h"
#include "model/block_layers.h"
#include "model/rope.h"
#include "model/span_layers.h"
#include "model/workspace.h"

namespace shoal::model {

class SpanRunner::Impl {
 public:
  Impl(const ModelConfig& config, const Checkpoint& checkpoint, std::int64_t block_begin,
       std::vector<BlockLayers> blocks, std::size_t weight_bytes, kernels::Executor& executor,
       kernels::StepPlan plan, Workspace workspace)
      : config_(config),
        checkpoint_(checkpoint),
        block_begin_(block_begin),
        blocks_(std::move(blocks)),
        weight_bytes_(weight_bytes),
        executor_(executor),
        plan_(std::move(plan)),
        workspace_(std::move(workspace)) {
    for (Batch& batch : batches_) {
      batch.finite.resize(static_cast<std::size_t>(workspace_.max_rows()));
      batch.asked.reserve(static_cast<std::size_t>(workspace_.max_rows()));
    }
  }

  KvShape kv_shape(kernels::KvDType dtype) const {
    return {.blocks = static_cast<std::int64_t>(blocks_.size()),
            .kv_heads = config_.block(block_begin_).attention.kv_heads,
            .head_dim = config_.block(block_begin_).attention.head_dim,
            .dtype = dtype};
  }

  std::size_t weight_bytes() const { return weight_bytes_; }

  absl::Status check() const {
    if (const std::string why = executor_.failure(); !why.empty()) {
      return absl::UnavailableError(why);
    }
    for (const BlockLayers& layers : blocks_) {
      if (!layers.file) continue;
      if (absl::Status intact = layers.file->check(); !intact.ok()) return intact;
    }
    return checkpoint_.check();
  }

  void begin(std::span<const SequenceStep> steps, std::int64_t first_block,
             std::int64_t last_block) {
    const std::int64_t block_end = block_begin_ + static_cast<std::int64_t>(blocks_.size());
    CHECK(block_begin_ <= first_block && first_block <= last_block && last_block <= block_end)
        << "blocks " << first_block << ":" << last_block << " of " << block_begin_ << ":"
        << block_end;
    CHECK(under_way_ < kMostUnderWay) << under_way_ << " batches are under way";
    const KvLease* const lease =
        lay_out(steps, first_block - block_begin_, last_block - first_block);
    Batch& batch = batches_[(oldest_ + under_way_) % kMostUnderWay];
    batch.asked.clear();
    for (const SequenceStep& step : steps) batch.asked.emplace_back(step.rows, step.finite);
    if (lease != nullptr) {
      run(*lease, first_block, last_block);
      hand_out(steps, batch);
    }
    batch.end = executor_.mark();
    ++under_way_;
  }

  bool done() {
    CHECK(under_way_ > 0) << "no batch is under way";
    return executor_.reached(batches_[oldest_].end);
  }

  void finish() {
    CHECK(under_way_ > 0) << "no batch is under way";
    const Batch& batch = batches_[oldest_];
    executor_.wait(batch.end);
    auto row = batch.finite.begin();
    for (const auto& [rows, finite] : batch.asked) {
      const auto end = row + rows;
      if (finite != nullptr) *finite = std::find(row, end, 0u) == end;
      row = end;
    }
    oldest_ = (oldest_ + 1) % kMostUnderWay;
    --under_way_;
  }

 private:
  // What is left of a batch until it ends.
  struct Batch {
    kernels::Executor::Mark end = 0;
    std::vector<std::uint32_t> finite;                  // [rows]
    std::vector<std::pair<std::int64_t, bool*>> asked;  // of each step: its rows, where to say so
  };

  void run(const KvLease& lease, std::int64_t first_block, std::int64_t last_block) {
    const kernels::KvPages pages = lease.pool()->pages();
    const KvShape& shape = lease.pool()->shape();
    const BlockStep step{.plan = plan_, .pages = pages, .workspace = workspace_};
    const kernels::StepKey key{.owner = id_,
                               .rows = plan_.padded_rows(),
                               .positions = plan_.most_positions(),
                               .first_block = first_block,
                               .last_block = last_block,
                               .first_leased_block = lease.first_block(),
                               .pages = pages.data,
                               .kv_dtype = static_cast<std::int64_t>(pages.dtype)};
    executor_.run_step(key, [&] {
      for (std::int64_t block = first_block; block < last_block; ++block) {
        const std::int64_t i = block - block_begin_;
        run_block(executor_, config_.block(block), blocks_[static_cast<std::size_t>(i)], step,
                  shape.layout(i - lease.first_block()));
      }
      kernels::finite_rows(executor_, workspace_.x(plan_.padded_rows()), workspace_.finite());
    });
  }

  void hand_out(std::span<const SequenceStep> steps, Batch& batch) {
    const std::int64_t hidden = config_.hidden;
    const kernels::MatrixView x = workspace_.x(plan_.rows());
    std::int64_t row = 0;
    for (const SequenceStep& step : steps) {
      row += step.rows;
      const auto wanted = static_cast<std::int64_t>(step.out.size()) / hidden;
      if (wanted == 0) continue;
      executor_.download(step.out.data(),
                         static_cast<const float*>(x.data) + (row - wanted) * hidden,
                         step.out.size_bytes());
    }
    executor_.download(batch.finite.data(), workspace_.finite(),
                       static_cast<std::size_t>(row) * sizeof(batch.finite[0]));
  }

  // Takes the rows and makes the step's tables; any of the leases, or null when there are no rows.
  const KvLease* lay_out(std::span<const SequenceStep> steps, std::int64_t first_block,
                         std::int64_t blocks) {
    const auto hidden = static_cast<std::size_t>(config_.hidden);
    plan_.clear();
    const KvLease* any = nullptr;
    for (const SequenceStep& step : steps) {
      CHECK(step.lease != nullptr && step.rows >= 0);
      // Rows may only be placed where prepare() has made room.
      CHECK(step.start_position == step.lease->position())
          << "start " << step.start_position << " at position " << step.lease->position();
      CHECK(step.x.size() == static_cast<std::size_t>(step.rows) * hidden)
          << step.x.size() << " values for " << step.rows << " rows of " << hidden;
      CHECK(step.out.size() % hidden == 0 && step.out.size() <= step.x.size())
          << step.out.size() << " values wanted of " << step.rows << " rows of " << hidden;
      const KvLease& lease = *step.lease;
      CHECK(any == nullptr ||
            (lease.pool() == any->pool() && lease.first_block() == any->first_block()))
          << "leases of different blocks in one batch";
      CHECK(lease.first_block() <= first_block &&
            first_block + blocks <= lease.first_block() + lease.blocks())
          << "blocks " << first_block << " + " << blocks << " with a lease of "
          << lease.first_block() << " + " << lease.blocks();
      any = &lease;
      const std::int64_t row = plan_.rows();
      plan_.add(step.start_position, step.rows, lease.pages());
      executor_.upload(static_cast<float*>(workspace_.x(plan_.rows()).data) + row * config_.hidden,
                       step.x.data(), step.x.size_bytes());
    }
    plan_.seal(executor_);
    return plan_.rows() > 0 ? any : nullptr;
  }

  static std::int64_t next_id() {
    static std::atomic<std::int64_t> last{0};
    return ++last;
  }

  const std::int64_t id_ = next_id();
  const ModelConfig config_;
  const Checkpoint& checkpoint_;
  const std::int64_t block_begin_;
  const std::vector<BlockLayers> blocks_;
  const std::size_t weight_bytes_;
  kernels::Executor& executor_;
  kernels::StepPlan plan_;
  Workspace workspace_;
  std::array<Batch, kMostUnderWay> batches_;  // a ring
  std::size_t oldest_ = 0, under_way_ = 0;
};

namespace {

absl::Status no_room(std::int64_t rows) {
  return absl::ResourceExhaustedError(
      absl::StrCat("there is not enough memory for batches of ", rows, " rows: raise the limit"));
}

}  // namespace

SpanRunner::SpanRunner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SpanRunner::~SpanRunner() = default;

KvShape SpanRunner::kv_shape(kernels::KvDType dtype) const { return impl_->kv_shape(dtype); }
std::size_t SpanRunner::weight_bytes() const { return impl_->weight_bytes(); }
absl::Status SpanRunner::check() const { return impl_->check(); }
void SpanRunner::begin(std::span<const SequenceStep> steps, std::int64_t first_block,
                       std::int64_t last_block) {
  impl_->begin(steps, first_block, last_block);
}
bool SpanRunner::done() { return impl_->done(); }
void SpanRunner::finish() { impl_->finish(); }

absl::StatusOr<std::unique_ptr<SpanRunner>> SpanRunner::load(
    const ModelConfig& config, const Checkpoint& checkpoint, std::int64_t block_begin,
    std::int64_t block_end, kernels::Executor& executor, const SpanOptions& options) {
  if (block_begin < 0 || block_begin >= block_end || block_end > config.block_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("blocks ", block_begin, ":", block_end,
                     " are no span of this model; it has blocks 0:", config.block_count));
  }
  absl::StatusOr<std::vector<BlockLayers>> blocks = load_span_layers(
      config, checkpoint, block_begin, block_end, executor, options.weights, options.pack);
  if (!blocks.ok()) return blocks.status();
  std::size_t bytes = 0;
  for (const BlockLayers& layers : *blocks) bytes += layers.bytes();
  const RopeTable rope = make_rope_table(config.rope, config.block(block_begin).attention.head_dim,
                                         config.max_positions);
  // A lease over one block has a page of its own for each of its positions.
  const std::int64_t pages = (options.kv_positions + kPagePositions - 1) / kPagePositions;
  std::optional<kernels::StepPlan> plan =
      kernels::StepPlan::make(executor, {rope.inverse_frequency, rope.attention_factor},
                              {.rows = options.rows, .pages = pages * (block_end - block_begin)});
  if (!plan) return no_room(options.rows);
  std::optional<Workspace> workspace =
      Workspace::make(executor, config.hidden, widths_of(config.block(block_begin)), options.rows);
  if (!workspace) return no_room(options.rows);
  return std::unique_ptr<SpanRunner>(new SpanRunner(
      std::make_unique<Impl>(config, checkpoint, block_begin, *std::move(blocks), bytes, executor,
                             *std::move(plan), *std::move(workspace))));
}

}  // namespace shoal::model
