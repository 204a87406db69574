// SPDX-License-Identifier: Apache-2.0
#include "node/device/device_thread.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/finite.h"
#include "kernels/executor.h"
#include "model/kv_pool.h"
#include "model/span_runner.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;

// KV memory that was written and is free: so much stays with us for the next sessions; of the rest
// at most so much goes back per call, in pieces of a millisecond.
constexpr std::size_t kKeptKvBytes = 16u << 20;
constexpr std::size_t kReturnedAtOnce = 512u << 20;
constexpr std::size_t kReturnedPiece = 8u << 20;

std::uint32_t microseconds(Clock::duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(us, 0, 0xffffffff));
}

// At which position attention has as many multiplications as all the rest of a row.
double attention_positions(const model::ModelConfig& config) {
  const std::int64_t attention = config.heads * config.head_dim;
  const std::int64_t linear =
      2 * attention + 2 * config.kv_heads * config.head_dim + 3 * config.intermediate;
  return static_cast<double>(config.hidden) * linear / (2.0 * static_cast<double>(attention));
}

struct Step {
  StepInput input;
  StepDone done;
  std::int64_t rows_done = 0;
  Clock::time_point arrived;
  std::uint32_t queue_us = 0;
  Clock::duration compute{};
};

struct Lessee {
  proto::Span span;
  std::int64_t max_positions = 0;  // that it was promised; the lease may have shrunk
  model::KvLease lease;
  std::deque<Step> steps;
  bool closed = false;
};

struct Work {
  std::shared_ptr<Lessee> session;
  std::int64_t rows = 0;
  bool last = false;
  bool finite = true;
};

class CpuDeviceThread final : public DeviceThread {
 public:
  CpuDeviceThread(const model::ModelConfig& config, DeviceOptions options)
      : hidden_(config.hidden),
        attention_positions_(attention_positions(config)),
        options_(options),
        scheduler_(options.limits) {}

  ~CpuDeviceThread() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    sessions_.clear();  // gives the leases back before the pool goes
  }

  absl::Status launch(const model::ModelConfig& config, const model::Checkpoint& checkpoint) {
    std::promise<absl::Status> loaded;
    std::future<absl::Status> result = loaded.get_future();
    checkpoint_ = &checkpoint;
    thread_ = std::thread([this, &config, &checkpoint, &loaded] {
      absl::Status status;
      try {
        status = load(config, checkpoint);
        if (status.ok()) status = checkpoint.check();
      } catch (const std::bad_alloc&) {
        status = absl::ResourceExhaustedError(
            fmt::format("there is not enough memory for blocks {} with {} KV positions: serve "
                        "fewer blocks (--blocks) or fewer --kv-positions, or raise the limit on "
                        "memory (--memory, ulimit -v)",
                        proto::to_string(options_.span), options_.kv_positions));
      } catch (const std::exception& error) {
        status = absl::ResourceExhaustedError(
            fmt::format("cannot start the threads that compute ({}): raise the limit on threads "
                        "(ulimit -u) and on memory (ulimit -v), or choose fewer --threads",
                        error.what()));
      }
      const bool ok = status.ok();
      loaded.set_value(std::move(status));
      if (ok) loop();
    });
    return result.get();
  }

  std::optional<Refusal> open(SessionKey key, const proto::PeerId& peer, proto::Span span,
                              std::uint32_t max_positions) override {
    const std::lock_guard lock(mutex_);
    CHECK(options_.span.contains(span) && !span.empty()) << proto::to_string(span);
    if (!broken_.ok()) return broken();
    const std::int64_t first_block = span.begin - options_.span.begin;
    std::optional<model::KvLease> lease =
        pool_->lease(max_positions, first_block, first_block + span.size());
    if (!lease) {
      return Refusal{
          .code = absl::StatusCode::kResourceExhausted,
          .reason = fmt::format("{} KV positions were asked for, {} of {} are free", max_positions,
                                pool_->free_positions(span.size()), pool_->total_positions()),
          .retry_after_ms = kKvRetryMs};
    }
    auto session = std::make_shared<Lessee>();
    session->span = span;
    session->max_positions = max_positions;
    session->lease = std::move(*lease);
    CHECK(sessions_.emplace(key, std::move(session)).second) << "session " << key;
    scheduler_.add_session(key, peer, static_cast<double>(span.size()) / options_.span.size());
    return std::nullopt;
  }

  std::optional<Refusal> submit(SessionKey key, StepInput input, StepDone done) override {
    {
      const std::lock_guard lock(mutex_);
      const auto found = sessions_.find(key);
      if (found == sessions_.end()) {
        return Refusal{.code = absl::StatusCode::kAborted, .reason = "the session is closed"};
      }
      if (!broken_.ok()) return broken();
      CHECK(input.x.size() == static_cast<std::size_t>(input.rows) * hidden_);
      if (!covered(*found->second, std::int64_t{input.start_position} + input.rows)) {
        return Refusal{
            .code = absl::StatusCode::kResourceExhausted,
            .reason = fmt::format(
                "your session was idle while others waited, who got its KV memory: {} of "
                "{} positions are free now, too few to go on; use another node",
                pool_->free_positions(), pool_->total_positions()),
            .retry_after_ms = kKvRetryMs};
      }
      const Admission admission = scheduler_.push(key, input.rows, input.start_position);
      if (admission != Admission::kAccepted) return queue_full(admission);
      Step step;
      step.input = std::move(input);
      step.done = std::move(done);
      step.arrived = Clock::now();
      found->second->steps.push_back(std::move(step));
    }
    wake_.notify_one();
    return std::nullopt;
  }

  void close(SessionKey key) override {
    std::shared_ptr<Lessee> session;  // its rows are freed after the lock
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key);
    if (found == sessions_.end()) return;
    scheduler_.remove_session(key);
    session = std::move(found->second);
    sessions_.erase(found);
    session->closed = true;
    // The lease ends under the lock that guards the pool: here and now, or with the batch that is
    // being computed.
    if (session.use_count() == 1) {
      session->lease = model::KvLease();
    } else {
      session.reset();
    }
  }

  absl::Status check_files() override {
    absl::Status intact = checkpoint_->check();
    const std::lock_guard lock(mutex_);
    if (broken_.ok()) broken_ = std::move(intact);
    return broken_;
  }

  bool crowded(SessionKey key, double part) const override {
    const std::lock_guard lock(mutex_);
    return scheduler_.crowded(key, part);
  }

  std::map<SessionKey, LeaseUse> leases() const override {
    std::map<SessionKey, LeaseUse> result;
    const std::lock_guard lock(mutex_);
    for (const auto& [key, session] : sessions_) {
      result[key] = {session->lease.promised_positions(), session->lease.held_positions(),
                     !session->steps.empty()};
    }
    return result;
  }

  std::int64_t shrink(SessionKey key) override {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(key);
    if (found == sessions_.end() || !found->second->steps.empty()) return 0;
    return found->second->lease.shrink();
  }

  void return_memory() override {
    // In pieces: whoever waits for the lock waits for one.
    for (std::size_t given = 0; given < kReturnedAtOnce;) {
      const std::lock_guard lock(mutex_);
      const std::size_t bytes = pool_->trim(kKeptKvBytes, kReturnedPiece);
      if (bytes == 0) return;
      given += bytes;
    }
  }

  DeviceStats stats() const override {
    const std::lock_guard lock(mutex_);
    // A node that was slow once and is avoided since would never find out that it is quick again.
    const bool stale = Clock::now() - measured_at_ > kMeasureLifetime;
    return {.free_positions = pool_->free_positions(),
            .total_positions = pool_->total_positions(),
            .pages_in_use = pool_->pages_in_use(),
            .sessions = static_cast<std::int64_t>(sessions_.size()),
            .queued_steps = scheduler_.queued_steps(),
            .batches = batches_,
            .batched_rows = batched_rows_,
            .prefill_batches = prefill_batches_,
            .block_step_us = stale ? unloaded_step_us_ : block_step_us_};
  }

 private:
  static constexpr auto kMeasureLifetime = std::chrono::seconds(30);
  static constexpr std::uint32_t kKvRetryMs = 1'000;  // those who are idle give way within seconds
  // Whoever decodes makes a step at least so often, through any route.
  static constexpr auto kDecodingLately = std::chrono::seconds(2);

  // A lease that was shrunk grows again, to all that was promised or to what this step needs.
  static bool covered(Lessee& session, std::int64_t positions) {
    return session.lease.grow(session.max_positions) || session.lease.grow(positions);
  }

  // Without the file's name: it is nobody's business where we keep it.
  static constexpr const char* kBroken = "this node's model files changed while it served them";
  static Refusal broken() { return {.code = absl::StatusCode::kUnavailable, .reason = kBroken}; }

  Refusal queue_full(Admission admission) const {
    const char* whose = admission == Admission::kSessionFull ? "this session's"
                        : admission == Admission::kPeerFull  ? "your sessions'"
                                                             : "the node's";
    // The queue's length in time, by what one row through our span costs.
    const double ms = block_step_us_ * options_.span.size() * scheduler_.queued_rows() / 1000.0;
    return {.code = absl::StatusCode::kResourceExhausted,
            .reason = fmt::format("{} queue of steps is full", whose),
            .retry_after_ms = static_cast<std::uint32_t>(std::clamp(ms, 50.0, 5'000.0))};
  }

  absl::Status load(const model::ModelConfig& config, const model::Checkpoint& checkpoint) {
    executor_ = kernels::Executor::cpu(options_.threads);
    const std::int64_t rows = std::max(options_.limits.decode_rows, options_.limits.prefill_rows);
    auto runner =
        model::SpanRunner::load(config, checkpoint, options_.span.begin, options_.span.end,
                                *executor_, {.rows = rows, .kv_positions = options_.kv_positions});
    if (!runner.ok()) return runner.status();
    runner_ = std::move(*runner);
    auto pool = model::KvPool::create(*executor_, runner_->kv_shape(options_.kv_dtype),
                                      options_.kv_positions);
    if (!pool.ok()) return pool.status();
    pool_ = std::move(*pool);
    return warm_up();
  }

  // A few rows through the whole span: faults the weights in, measures, and notices damaged weights
  // before a user does.
  absl::Status warm_up() {
    constexpr std::int64_t kRows = 4;
    std::optional<model::KvLease> lease = pool_->lease(kRows);
    CHECK(lease.has_value()) << "an empty pool of " << pool_->total_positions();
    double best_us = 0;
    std::vector<float> x(hidden_);
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t i = 0; i < hidden_; ++i)
        x[i] = 0.01f * static_cast<float>((i + row) % 7 - 3);
      lease->prepare(row, 1);
      const model::SequenceStep step{&*lease, row, 1, x, x};
      const auto started = Clock::now();
      runner_->begin({&step, 1}, options_.span.begin, options_.span.end);
      runner_->finish();
      const double us = std::chrono::duration<double, std::micro>(Clock::now() - started).count();
      lease->advance(1);
      if (!base::all_finite(x)) {
        return absl::InvalidArgumentError(
            fmt::format("blocks {} compute values that are not finite: the model's weights are "
                        "damaged; download them again",
                        proto::to_string(options_.span)));
      }
      best_us = row == 0 ? us : std::min(best_us, us);
    }
    block_step_us_ = unloaded_step_us_ = static_cast<float>(best_us / options_.span.size());
    pace_.emplace(options_.limits.prefill_us, best_us, attention_positions_);
    return absl::OkStatus();
  }

  void loop() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !scheduler_.idle(); });
      if (stopping_) return;
      std::vector<Work> batch = prepare_batch();
      lock.unlock();
      compute(batch);
      // Before any of it leaves: a weight that was read may have changed.
      check_files().IgnoreError();  // kept in broken_
      lock.lock();
      std::vector<std::pair<StepDone, StepOutput>> finished = finish_batch(batch);
      batch.clear();  // the last references to closed sessions: their leases end under the lock
      lock.unlock();
      for (auto& [done, output] : finished) done(std::move(output));
      finished.clear();
      lock.lock();
    }
  }

  std::vector<Work> prepare_batch() {
    std::vector<Work> batch;
    const auto now = Clock::now();
    budget_ =
        pace_->budget(block_step_us_ * options_.span.size(), now - decoded_at_ < kDecodingLately);
    const Batch chosen = scheduler_.next_batch(budget_);
    decode_ = chosen.decode;
    weight_ = chosen.weight;
    if (decode_) decoded_at_ = now;
    for (const BatchItem& item : chosen.items) {
      Work work{sessions_.at(item.session), item.rows, item.last, true};
      Step& step = work.session->steps.front();
      if (step.rows_done == 0) step.queue_us = microseconds(now - step.arrived);
      work.session->lease.prepare(step.input.start_position + step.rows_done, item.rows);
      batch.push_back(std::move(work));
    }
    // Sessions that use the same blocks are computed together.
    std::stable_sort(batch.begin(), batch.end(), [](const Work& a, const Work& b) {
      return a.session->span < b.session->span;
    });
    return batch;
  }

  void compute(std::vector<Work>& batch) {
    for (std::size_t begin = 0; begin < batch.size();) {
      std::size_t end = begin;
      while (end < batch.size() && batch[end].session->span == batch[begin].session->span) ++end;
      compute_group(std::span(batch).subspan(begin, end - begin));
      begin = end;
    }
  }

  std::span<float> rows_of(const Work& work) const {
    Step& step = work.session->steps.front();
    return std::span(step.input.x).subspan(step.rows_done * hidden_, work.rows * hidden_);
  }

  void compute_group(std::span<Work> group) {
    std::vector<model::SequenceStep> sequences;
    std::int64_t rows = 0;
    for (const Work& work : group) {
      const Step& step = work.session->steps.front();
      const std::span<float> x = rows_of(work);
      sequences.push_back(
          {&work.session->lease, step.input.start_position + step.rows_done, work.rows, x, x});
      rows += work.rows;
    }
    const proto::Span blocks = group.front().session->span;
    const auto started = Clock::now();
    runner_->begin(sequences, blocks.begin, blocks.end);
    runner_->finish();
    const auto took = Clock::now() - started;

    for (Work& work : group) {
      work.finite = base::all_finite(rows_of(work));
      work.session->steps.front().compute += took;
    }
    const auto us = std::chrono::duration<float, std::micro>(took).count();
    batch_us_ += us;
    if (decode_) measured_us_ = us / blocks.size();
    computed_rows_ += rows;
  }

  std::vector<std::pair<StepDone, StepOutput>> finish_batch(std::vector<Work>& batch) {
    constexpr float kNewShare = 0.1f;
    if (measured_us_ > 0) {
      block_step_us_ += kNewShare * (measured_us_ - block_step_us_);
      measured_at_ = Clock::now();
    }
    measured_us_ = 0;
    if (!decode_) {
      ++prefill_batches_;
      pace_->measured(weight_, batch_us_, budget_);
    }
    batch_us_ = 0;
    ++batches_;
    batched_rows_ += computed_rows_;
    computed_rows_ = 0;
    std::vector<std::pair<StepDone, StepOutput>> finished;
    for (Work& work : batch) {
      Lessee& session = *work.session;
      if (session.closed) continue;
      Step& step = session.steps.front();
      session.lease.advance(work.rows);
      step.rows_done += work.rows;
      const bool good = work.finite && broken_.ok();
      if (!work.last && good) continue;
      StepOutput output;
      output.position = static_cast<std::uint32_t>(session.lease.position());
      output.queue_us = step.queue_us;
      output.compute_us = microseconds(step.compute);
      if (!broken_.ok()) {
        output.status = absl::UnavailableError(kBroken);
      } else if (work.finite) {
        output.x = std::move(step.input.x);
      } else {
        output.status = absl::InternalError("the blocks computed a value that is not finite");
      }
      if (work.last) {
        finished.emplace_back(std::move(step.done), std::move(output));
        session.steps.pop_front();
      } else if (step.done) {
        finished.emplace_back(std::exchange(step.done, [](const StepOutput&) {}),
                              std::move(output));
      }
    }
    return finished;
  }

  const std::int64_t hidden_;
  const double attention_positions_;
  const DeviceOptions options_;
  const model::Checkpoint* checkpoint_ = nullptr;
  std::unique_ptr<kernels::Executor> executor_;
  std::unique_ptr<model::SpanRunner> runner_;
  std::unique_ptr<model::KvPool> pool_;

  // The device thread's own, between batches.
  float measured_us_ = 0;  // of a decode batch, per block
  std::int64_t computed_rows_ = 0;
  std::optional<PrefillPace> pace_;
  PrefillBudget budget_;  // of the batch that is being computed
  bool decode_ = false;
  double weight_ = 0;
  double batch_us_ = 0;
  Clock::time_point decoded_at_{};

  mutable std::mutex mutex_;  // guards pool_ and all below; never held while computing
  std::condition_variable wake_;
  bool stopping_ = false;
  absl::Status broken_;  // why nothing is computed any more
  Scheduler scheduler_;
  std::map<SessionKey, std::shared_ptr<Lessee>> sessions_;
  float block_step_us_ = 0;
  float unloaded_step_us_ = 0;
  Clock::time_point measured_at_ = Clock::now();
  std::uint64_t batches_ = 0;
  std::uint64_t batched_rows_ = 0;
  std::uint64_t prefill_batches_ = 0;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceThread>> DeviceThread::start(
    const model::ModelConfig& config, const model::Checkpoint& checkpoint, DeviceOptions options) {
  auto device = std::make_unique<CpuDeviceThread>(config, options);
  absl::Status status = device->launch(config, checkpoint);
  if (!status.ok()) return status;
  return device;
}

}  // namespace shoal::node
