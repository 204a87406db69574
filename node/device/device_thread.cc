// SPDX-License-Identifier: Apache-2.0
#include "node/device/device_thread.h"

#include <fmt/format.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "base/check.h"
#include "node/device/batch_runner.h"
#include "node/device/completer.h"
#include "node/device/device_queue.h"
#include "node/device/head_thread.h"

namespace shoal::node {
namespace {

// A device that works behind our back is asked whether it is done: without rest for a while, as
// being woken takes half of that, then at intervals, in which steps that have come meanwhile can
// still begin in time.
constexpr std::chrono::microseconds kAwake{100}, kLongestPause{100};

}  // namespace

class DeviceThread::Impl {
 public:
  Impl(const model::ModelConfig& config, const model::Checkpoint& checkpoint, DeviceOptions options)
      : config_(config), checkpoint_(checkpoint), options_(std::move(options)) {}

  ~Impl() { stop(); }

  // While the device can still be called: what is dropped may be the last to hold a session.
  void stop() {
    if (queue_ != nullptr) queue_->stop();
    if (completer_ != nullptr) completer_->stop();  // the device thread may wait for it
    if (head_ != nullptr) head_->stop();
    if (thread_.joinable()) thread_.join();
    completer_.reset();
    if (head_ != nullptr) head_->end();
    if (queue_ != nullptr) queue_->drop();
  }

  absl::Status launch() {
    std::promise<absl::Status> loaded;
    std::future<absl::Status> result = loaded.get_future();
    thread_ = std::thread([this, &loaded] {
      absl::Status status = load_within_limits();
      const bool ok = status.ok();
      loaded.set_value(std::move(status));
      if (ok) loop();
    });
    return result.get();
  }

  DeviceQueue& queue() { return *queue_; }
  std::int64_t hidden() const { return config_.hidden; }
  bool embeds() const { return options_.ends != nullptr && options_.ends->embedding() != nullptr; }
  bool has_head() const { return head_ != nullptr; }
  double head_us() const { return head_us_; }
  absl::Status check_files() {
    absl::Status intact = runner_->check();
    if (intact.ok() && options_.ends != nullptr) intact = options_.ends->check();
    return queue_->set_files(std::move(intact));
  }
  void close(SessionKey key) {
    queue_->close(key);
    if (head_ != nullptr) head_->close(key);
  }
  bool crowded(SessionKey key, double part) const {
    return queue_->crowded(key, part) || (head_ != nullptr && head_->crowded(key, part));
  }
  DeviceStats stats() const {
    DeviceStats stats = queue_->stats();
    if (head_ == nullptr) return stats;
    const HeadStats head = head_->stats();
    stats.head_rows = head.rows;
    stats.head_calls = head.calls;
    return stats;
  }

 private:
  absl::Status load_within_limits() {
    try {
      if (absl::Status status = load(); !status.ok()) return status;
      return runner_->check();
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError(
          fmt::format("there is not enough memory for blocks {} with {} KV positions: serve "
                      "fewer blocks (--blocks) or fewer --kv-positions, or raise the limit on "
                      "memory (--memory, ulimit -v)",
                      proto::to_string(options_.span), options_.kv_positions));
    } catch (const std::exception& error) {
      return absl::ResourceExhaustedError(
          fmt::format("cannot start the threads that compute ({}): raise the limit on threads "
                      "(ulimit -u) and on memory (ulimit -v), or choose fewer --threads",
                      error.what()));
    }
  }

  absl::Status load() {
    if (options_.devices.empty()) {
      options_.devices.push_back({kernels::Executor::cpu(options_.threads), options_.span.size()});
    }
    auto runner =
        BatchRunner::load(config_, checkpoint_, options_.span, std::move(options_.devices),
                          {.rows = most_rows(options_.limits),
                           .kv_positions = options_.kv_positions,
                           .weights = options_.weights,
                           .pack = options_.pack});
    options_.pack = {};
    if (!runner.ok()) return runner.status();
    auto pools = (*runner)->make_pools(options_.kv_positions, options_.kv_dtype);
    if (!pools.ok()) return pools.status();
    const auto row_us = (*runner)->warm_up(*pools);
    if (!row_us.ok()) return row_us.status();
    runner_ = std::move(*runner);
    queue_ = std::make_unique<DeviceQueue>(options_.span, options_.limits, *std::move(pools),
                                           *row_us, model::attention_positions(config_.block(0)));
    completer_ = std::make_unique<Completer>();
    return start_head();
  }

  absl::Status start_head() {
    if (options_.ends == nullptr || options_.ends->head() == nullptr) return absl::OkStatus();
    const auto us = options_.ends->warm_up();
    if (!us.ok()) return us.status();
    head_us_ = *us;
    head_ = std::make_unique<HeadThread>(options_.ends, [this] {
      return check_files().ok() ? absl::OkStatus() : absl::UnavailableError(kFilesChanged);
    });
    return absl::OkStatus();
  }

  // A step waits as ids, which are small, and becomes rows with its first batch: copying them takes
  // a fiftieth of what a block does with them.
  void embed(RunningBatch& batch) {
    for (const BatchWork& work : batch.work) {
      StepInput& input = work.step->input;
      if (input.ids.empty()) continue;
      auto rows = options_.ends->embedding()->embed(input.ids);
      CHECK(rows.ok()) << rows.status();  // the ids were checked
      input.x = *std::move(rows);
      input.ids = {};
    }
  }

  void loop() {
    base::Backoff pause(kAwake, kLongestPause);
    for (;;) {
      std::optional<RunningBatch> batch;
      if (runner_->idle()) {
        batch = queue_->next();
        if (!batch) return;
      } else if (runner_->has_room(std::chrono::steady_clock::now())) {
        batch = queue_->take();
      }
      const bool begins = batch.has_value();
      if (begins) {
        embed(*batch);
        runner_->begin(*std::move(batch));
      }
      if (std::optional<RunningBatch> done = runner_->next_done()) {
        tell(*std::move(done));
        pause.reset();
      } else if (!begins) {
        pause.wait();
      }
    }
  }

  void tell(RunningBatch batch) {
    // Before any of it leaves: a weight that was read may have changed.
    check_files().IgnoreError();  // kept by the queue
    std::vector<Completion> finished = queue_->finish(std::move(batch));
    if (head_ != nullptr) head_->take(finished);
    if (queue_->idle()) {
      completer_->put_idle(std::move(finished));
    } else {
      completer_->put(std::move(finished));
    }
  }

  const model::ModelConfig& config_;
  const model::Checkpoint& checkpoint_;
  DeviceOptions options_;
  std::unique_ptr<BatchRunner> runner_;
  std::unique_ptr<DeviceQueue> queue_;  // after the runner: its pool is of the runner's executor
  std::unique_ptr<Completer> completer_;
  std::unique_ptr<HeadThread> head_;
  double head_us_ = 0;
  std::thread thread_;
};

DeviceThread::DeviceThread(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeviceThread::~DeviceThread() { impl_->stop(); }

absl::StatusOr<std::unique_ptr<DeviceThread>> DeviceThread::start(
    const model::ModelConfig& config, const model::Checkpoint& checkpoint, DeviceOptions options) {
  auto impl = std::make_unique<Impl>(config, checkpoint, std::move(options));
  if (absl::Status status = impl->launch(); !status.ok()) return status;
  return std::unique_ptr<DeviceThread>(new DeviceThread(std::move(impl)));
}

std::optional<Refusal> DeviceThread::open(SessionKey key, const proto::PeerId& peer,
                                          proto::Span span, std::uint32_t max_positions,
                                          std::span<const proto::PageHash> prefix) {
  return impl_->queue().open(key, peer, span, max_positions, prefix);
}

std::uint32_t DeviceThread::position(SessionKey key) const { return impl_->queue().position(key); }

void DeviceThread::keep(SessionKey key, std::uint32_t first_page,
                        std::span<const proto::PageHash> hashes) {
  impl_->queue().keep(key, first_page, hashes);
}

std::optional<Refusal> DeviceThread::submit(SessionKey key, StepInput input, StepDone done) {
  if (input.ids.empty()) {
    CHECK(input.x.size() == static_cast<std::size_t>(input.rows) * impl_->hidden());
  } else {
    CHECK(impl_->embeds() && input.ids.size() == input.rows && input.x.empty());
  }
  CHECK(!input.scores.any() || impl_->has_head());
  return impl_->queue().submit(key, std::move(input), std::move(done));
}

void DeviceThread::close(SessionKey key) { impl_->close(key); }
absl::Status DeviceThread::check_files() { return impl_->check_files(); }
bool DeviceThread::crowded(SessionKey key, double part) const { return impl_->crowded(key, part); }
std::map<SessionKey, LeaseUse> DeviceThread::leases() const { return impl_->queue().leases(); }
std::int64_t DeviceThread::shrink(SessionKey key) { return impl_->queue().shrink(key); }
void DeviceThread::return_memory() { impl_->queue().return_memory(); }
DeviceStats DeviceThread::stats() const { return impl_->stats(); }
double DeviceThread::head_us() const { return impl_->head_us(); }

}  // namespace shoal::node
