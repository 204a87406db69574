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
    if (thread_.joinable()) thread_.join();
    completer_.reset();
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
  absl::Status check_files() { return queue_->set_files(runner_->check()); }

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
    return absl::OkStatus();
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
      if (begins) runner_->begin(*std::move(batch));
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
  CHECK(input.x.size() == static_cast<std::size_t>(input.rows) * impl_->hidden());
  return impl_->queue().submit(key, std::move(input), std::move(done));
}

void DeviceThread::close(SessionKey key) { impl_->queue().close(key); }
absl::Status DeviceThread::check_files() { return impl_->check_files(); }
bool DeviceThread::crowded(SessionKey key, double part) const {
  return impl_->queue().crowded(key, part);
}
std::map<SessionKey, LeaseUse> DeviceThread::leases() const { return impl_->queue().leases(); }
std::int64_t DeviceThread::shrink(SessionKey key) { return impl_->queue().shrink(key); }
void DeviceThread::return_memory() { impl_->queue().return_memory(); }
DeviceStats DeviceThread::stats() const { return impl_->queue().stats(); }

}  // namespace shoal::node
