// SPDX-License-Identifier: Apache-2.0
#include "model/file_work.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace shoal::model {
namespace {

// Below, starting threads costs more than it gains; above so many, disks gain nothing.
constexpr std::uint64_t kWorthThreads = 64u << 20;
constexpr std::size_t kMostThreads = 4;
constexpr std::chrono::milliseconds kLook{100};  // between two looks at progress and cancelling

using FileBody = std::function<absl::Status(std::size_t i, const PieceDone& done)>;

struct SharedWork {
  SharedWork(std::size_t of, const FileBody& does) : count(of), body(does) {}

  const std::size_t count;
  const FileBody& body;
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  base::Mutex mutex;
  base::CondVar changed;
  std::size_t running ABSL_GUARDED_BY(mutex) = 0;
  absl::Status status ABSL_GUARDED_BY(mutex);  // the first that is not OK
};

// Takes file after file. With `look` it runs on the caller's thread.
void take_files(SharedWork& shared, const std::function<void()>& look) {
  while (!shared.stop) {
    const std::size_t at = shared.next.fetch_add(1);
    if (at >= shared.count) break;
    absl::Status status = shared.body(at, [&](std::uint64_t bytes) {
      shared.done += bytes;
      if (look) look();
      return !shared.stop.load();
    });
    if (status.ok()) continue;
    const base::MutexLock lock(shared.mutex);
    if (shared.status.ok() && !shared.stop) shared.status = std::move(status);
    shared.stop = true;
  }
}

// False when threads still work after `time`, or a little more.
bool ended_within(SharedWork& shared, std::chrono::milliseconds time) {
  const base::MutexLock lock(shared.mutex);
  while (shared.running > 0 && shared.changed.wait_for(shared.mutex, time)) continue;
  return shared.running == 0;
}

}  // namespace

absl::Status work_on_files(
    std::size_t count, std::uint64_t bytes, const FileWork& work,
    const std::function<absl::Status(std::size_t i, const PieceDone&)>& body) {
  SharedWork shared(count, body);
  const auto look = [&] {
    if (work.progress) work.progress(std::min(shared.done.load(), bytes), bytes);
    if (work.stop != nullptr && work.stop->stopped()) shared.stop = true;
  };
  const std::size_t useful =
      bytes < kWorthThreads
          ? 1
          : std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  const std::size_t most =
      std::min(work.threads > 0 ? static_cast<std::size_t>(work.threads) : useful, count);
  look();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; most > 1 && i < most; ++i) {
    try {
      {
        const base::MutexLock lock(shared.mutex);
        ++shared.running;
      }
      threads.emplace_back([&shared] {
        take_files(shared, {});
        const base::MutexLock lock(shared.mutex);
        --shared.running;
        shared.changed.notify_all();
      });
    } catch (const std::system_error&) {  // no more threads: those that there are do it
      const base::MutexLock lock(shared.mutex);
      --shared.running;
      break;
    }
  }
  if (threads.empty()) {
    take_files(shared, look);
  } else {
    while (!ended_within(shared, kLook)) look();
  }
  for (std::thread& thread : threads) thread.join();
  {
    const base::MutexLock lock(shared.mutex);
    if (!shared.status.ok()) return shared.status;
  }
  if (shared.stop) return absl::CancelledError("interrupted");
  if (work.progress) work.progress(bytes, bytes);
  return absl::OkStatus();
}

}  // namespace shoal::model
