// SPDX-License-Identifier: Apache-2.0
#include "node/device/device_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace shoal::node {
namespace {

// KV memory that was written and is free: so much stays with us for the next sessions; of the rest
// at most so much goes back per call, in pieces of a millisecond.
constexpr std::size_t kKeptKvBytes = 16u << 20;
constexpr std::size_t kReturnedAtOnce = 512u << 20;
constexpr std::size_t kReturnedPiece = 8u << 20;

constexpr auto kMeasureLifetime = std::chrono::seconds(30);
constexpr std::uint32_t kKvRetryMs = 1'000;  // those who are idle give way within seconds
// Whoever decodes makes a step at least so often, through any route.
constexpr auto kDecodingLately = std::chrono::seconds(2);

Refusal broken() { return {.code = absl::StatusCode::kUnavailable, .reason = kFilesChanged}; }

std::uint32_t microseconds(std::chrono::steady_clock::duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(us, 0, 0xffffffff));
}

}  // namespace

DeviceQueue::DeviceQueue(proto::Span span, const SchedulerLimits& limits,
                         std::vector<std::unique_ptr<model::KvPool>> pools, double row_us,
                         double attention_positions)
    : span_(span),
      unloaded_step_us_(static_cast<float>(row_us / span.size())),
      pages_(std::move(pools)),
      scheduler_(limits),
      pace_(limits.prefill_us, row_us, attention_positions),
      gather_(std::chrono::microseconds(static_cast<std::int64_t>(row_us))),
      block_step_us_(unloaded_step_us_) {}

DeviceQueue::~DeviceQueue() { drop(); }

void DeviceQueue::drop() {
  std::map<SessionKey, std::shared_ptr<Lessee>> sessions;  // whoever waits in them may call close()
  const base::MutexLock lock(mutex_);
  sessions.swap(sessions_);
  for (const auto& [key, session] : sessions) session->lease = SpanLease();
  pages_.drop_all();
}

PartOfSpan DeviceQueue::part_of(proto::Span span) const {
  return {span.begin - span_.begin, span.size()};
}

// A lease that was shrunk grows again, to all that was promised or to what this step needs.
bool DeviceQueue::covered(Lessee& session, std::int64_t positions) {
  return pages_.grow(session.lease, session.max_positions) || pages_.grow(session.lease, positions);
}

std::optional<Refusal> DeviceQueue::open(SessionKey key, const proto::PeerId& peer,
                                         proto::Span span, std::uint32_t max_positions,
                                         std::span<const proto::PageHash> prefix) {
  const base::MutexLock lock(mutex_);
  CHECK(span_.contains(span) && !span.empty()) << proto::to_string(span);
  if (!broken_.ok()) return broken();
  const PartOfSpan part = part_of(span);
  std::optional<SpanLease> lease = pages_.lease(max_positions, part, prefix, Clock::now());
  if (!lease) {
    return Refusal{
        .code = absl::StatusCode::kResourceExhausted,
        .reason = fmt::format("{} KV positions were asked for, {} of {} are free", max_positions,
                              pages_.free_positions(part), pages_.total_positions(part)),
        .retry_after_ms = kKvRetryMs};
  }
  auto session = std::make_shared<Lessee>();
  session->span = span;
  session->peer = peer;
  session->max_positions = max_positions;
  session->lease = std::move(*lease);
  session->found = session->lease.position();
  CHECK(sessions_.emplace(key, std::move(session)).second) << "session " << key;
  scheduler_.add_session(key, peer, static_cast<double>(span.size()) / span_.size());
  return std::nullopt;
}

std::optional<Refusal> DeviceQueue::submit(SessionKey key, StepInput input, StepDone done) {
  {
    const base::MutexLock lock(mutex_);
    const auto found = sessions_.find(key);
    if (found == sessions_.end()) {
      return Refusal{.code = absl::StatusCode::kAborted, .reason = "the session is closed"};
    }
    if (!broken_.ok()) return broken();
    if (!covered(*found->second, std::int64_t{input.start_position} + input.rows)) {
      const PartOfSpan part = part_of(found->second->span);
      return Refusal{.code = absl::StatusCode::kResourceExhausted,
                     .reason = fmt::format(
                         "your session was idle while others waited, who got its KV memory: {} of "
                         "{} positions are free now, too few to go on; use another node",
                         pages_.free_positions(part), pages_.total_positions(part)),
                     .retry_after_ms = kKvRetryMs};
    }
    const Admission admission = scheduler_.push(key, input.rows, input.start_position);
    if (admission != Admission::kAccepted) return queue_full(admission);
    PendingStep step;
    step.input = std::move(input);
    step.done = std::move(done);
    step.arrived = Clock::now();
    gather_.arrived(key, step.arrived);
    found->second->steps.push_back(std::move(step));
  }
  wake_.notify_one();
  return std::nullopt;
}

Refusal DeviceQueue::queue_full(Admission admission) const {
  const char* whose = admission == Admission::kSessionFull ? "this session's"
                      : admission == Admission::kPeerFull  ? "your sessions'"
                                                           : "the node's";
  // The queue's length in time, by what one row through our span costs.
  const double ms = block_step_us_ * span_.size() * scheduler_.queued_rows() / 1000.0;
  return {.code = absl::StatusCode::kResourceExhausted,
          .reason = fmt::format("{} queue of steps is full", whose),
          .retry_after_ms = static_cast<std::uint32_t>(std::clamp(ms, 50.0, 5'000.0))};
}

void DeviceQueue::close(SessionKey key) {
  std::shared_ptr<Lessee> session;  // its rows are freed after the lock
  const base::MutexLock lock(mutex_);
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) return;
  scheduler_.remove_session(key);
  gather_.closed(key);
  session = std::move(found->second);
  sessions_.erase(found);
  session->closed = true;
  // Here and now, or with the batch that is being computed.
  if (!session->in_batch) end_lease(*session);
}

void DeviceQueue::end_lease(Lessee& session) {
  if (broken_.ok()) {
    pages_.end(std::move(session.lease), session.peer, Clock::now());
  } else {
    session.lease = SpanLease();
  }
}

std::uint32_t DeviceQueue::position(SessionKey key) const {
  const base::MutexLock lock(mutex_);
  const auto found = sessions_.find(key);
  return found == sessions_.end() ? 0 : static_cast<std::uint32_t>(found->second->lease.position());
}

void DeviceQueue::keep(SessionKey key, std::uint32_t first_page,
                       std::span<const proto::PageHash> hashes) {
  const base::MutexLock lock(mutex_);
  const auto found = sessions_.find(key);
  if (found == sessions_.end() || !broken_.ok()) return;
  Lessee& session = *found->second;
  session.lease.know(first_page, hashes);
  pages_.keep(session.lease, session.peer, Clock::now());
}

bool DeviceQueue::crowded(SessionKey key, double part) const {
  const base::MutexLock lock(mutex_);
  return scheduler_.crowded(key, part);
}

std::map<SessionKey, LeaseUse> DeviceQueue::leases() const {
  std::map<SessionKey, LeaseUse> result;
  const base::MutexLock lock(mutex_);
  for (const auto& [key, session] : sessions_) {
    result[key] = {session->lease.promised_positions(), session->lease.held_positions(),
                   !session->steps.empty()};
  }
  return result;
}

std::int64_t DeviceQueue::shrink(SessionKey key) {
  const base::MutexLock lock(mutex_);
  const auto found = sessions_.find(key);
  if (found == sessions_.end() || !found->second->steps.empty()) return 0;
  return found->second->lease.shrink();
}

void DeviceQueue::return_memory() {
  {
    const base::MutexLock lock(mutex_);
    pages_.expire(Clock::now());
  }
  // In pieces: whoever waits for the lock waits for one.
  for (std::size_t given = 0; given < kReturnedAtOnce;) {
    const base::MutexLock lock(mutex_);
    const std::size_t bytes = pages_.trim(kKeptKvBytes, kReturnedPiece);
    if (bytes == 0) return;
    given += bytes;
  }
}

DeviceStats DeviceQueue::stats() const {
  const base::MutexLock lock(mutex_);
  // A node that was slow once and is avoided since would never find out that it is quick again.
  const bool stale = Clock::now() - measured_at_ > kMeasureLifetime;
  return {.free_positions = pages_.free_positions(pages_.whole()),
          .total_positions = pages_.total_positions(pages_.whole()),
          .pages_in_use = pages_.pages_in_use(),
          .kept_pages = pages_.kept_pages(),
          .reused_positions = reused_positions_,
          .sessions = static_cast<std::int64_t>(sessions_.size()),
          .queued_steps = scheduler_.queued_steps(),
          .batches = batches_,
          .batched_rows = batched_rows_,
          .prefill_batches = prefill_batches_,
          .computing_s = computing_us_ / 1e6,
          .block_step_us = stale ? unloaded_step_us_ : block_step_us_};
}

absl::Status DeviceQueue::set_files(absl::Status intact) {
  const base::MutexLock lock(mutex_);
  if (broken_.ok()) broken_ = std::move(intact);
  return broken_;
}

bool DeviceQueue::wait_for_work() {
  while (!stopping_) {
    if (scheduler_.idle()) {
      wake_.wait(mutex_);
      continue;
    }
    const auto now = Clock::now();
    const auto until = wait_until(now);
    if (until <= now) return true;
    wake_.wait_until(mutex_, until);
  }
  return false;
}

DeviceQueue::Clock::time_point DeviceQueue::wait_until(Clock::time_point now) const {
  return scheduler_.only_decodes() ? gather_.wait_until(now) : now;
}

std::optional<RunningBatch> DeviceQueue::next() {
  const base::MutexLock lock(mutex_);
  if (!wait_for_work()) return std::nullopt;
  return make_batch(Clock::now());
}

std::optional<RunningBatch> DeviceQueue::take() {
  const base::MutexLock lock(mutex_);
  const auto now = Clock::now();
  if (stopping_ || !scheduler_.ready() || wait_until(now) > now) return std::nullopt;
  return make_batch(now);
}

RunningBatch DeviceQueue::make_batch(Clock::time_point now) {
  RunningBatch batch;
  const double decode_us = block_step_us_ * span_.size();
  batch.budget =
      pace_.budget(decode_us, now - decoded_at_ < kDecodingLately, scheduler_.prefill_pressure());
  const Batch chosen = scheduler_.next_batch(batch.budget);
  batch.decode = chosen.decode;
  batch.weight = chosen.weight;
  // What a weight costs is known by the time of batches that filled their budget: where one row
  // takes longer than that, it says nothing of time.
  batch.expected_us =
      chosen.decode ? decode_us : std::min(chosen.weight * pace_.weight_us(), batch.budget.us);
  if (batch.decode) decoded_at_ = now;
  for (const BatchItem& item : chosen.items) {
    BatchWork work{.key = item.session,
                   .session = sessions_.at(item.session),
                   .rows = item.rows,
                   .last = item.last};
    Lessee& session = *work.session;
    session.in_batch = true;
    work.step = &session.steps.front();
    if (work.step->rows_done == 0) work.step->queue_us = microseconds(now - work.step->arrived);
    const std::int64_t start = work.step->input.start_position + work.step->rows_done;
    reused_positions_ += std::min(start, std::exchange(session.found, 0));
    session.lease.prepare(start, item.rows);
    batch.work.push_back(std::move(work));
  }
  // Sessions that use the same blocks are computed together.
  std::stable_sort(
      batch.work.begin(), batch.work.end(),
      [](const BatchWork& a, const BatchWork& b) { return a.session->span < b.session->span; });
  return batch;
}

std::vector<Completion> DeviceQueue::finish(RunningBatch batch) {
  std::vector<Completion> finished;
  const base::MutexLock lock(mutex_);
  learn(batch);
  const auto now = Clock::now();
  for (BatchWork& work : batch.work) {
    if (auto completion = finish(work)) finished.push_back(std::move(*completion));
    const Lessee& session = *work.session;
    if (batch.decode && !session.closed && session.steps.empty()) gather_.computed(work.key, now);
  }
  return finished;
}

bool DeviceQueue::idle() const {
  const base::MutexLock lock(mutex_);
  return scheduler_.idle();
}

void DeviceQueue::learn(const RunningBatch& batch) {
  constexpr float kNewShare = 0.1f;
  ++batches_;
  batched_rows_ += batch.rows;
  computing_us_ += batch.us;
  if (!batch.decode) {
    ++prefill_batches_;
    pace_.measured(batch.weight, batch.us, batch.budget);
  } else if (batch.block_us > 0) {
    block_step_us_ += kNewShare * (batch.block_us - block_step_us_);
    measured_at_ = Clock::now();
  }
}

std::optional<Completion> DeviceQueue::finish(BatchWork& work) {
  Lessee& session = *work.session;
  session.in_batch = false;
  scheduler_.computed(work.key);
  if (session.closed) {
    end_lease(session);
    return std::nullopt;
  }
  PendingStep& step = *work.step;
  session.lease.advance(work.rows);
  step.rows_done += work.rows;
  const bool good = work.finite && broken_.ok();
  if (!work.last && good) return std::nullopt;
  Completion completion{.done = nullptr,
                        .output = {},
                        .session = work.key,
                        .peer = session.peer,
                        .rows = step.input.rows,
                        .scores = std::move(step.input.scores)};
  StepOutput& output = completion.output;
  output.position = static_cast<std::uint32_t>(session.lease.position());
  output.queue_us = step.queue_us;
  output.compute_us = microseconds(step.compute);
  if (!broken_.ok()) {
    output.status = absl::UnavailableError(kFilesChanged);
  } else if (work.finite) {
    output.x = std::move(step.input.x);
  } else {
    output.status = absl::InternalError("the blocks computed a value that is not finite");
  }
  // Of a step that goes wrong before its last rows it is told at once, and only then.
  completion.done = std::exchange(step.done, nullptr);
  if (work.last) session.steps.pop_front();
  if (!completion.done) return std::nullopt;
  return completion;
}

void DeviceQueue::stop() {
  {
    const base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

}  // namespace shoal::node
