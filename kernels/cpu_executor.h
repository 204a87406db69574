// SPDX-License-Identifier: Apache-2.0
// The CPU behind Executor: persistent worker threads and one table of kernels.
// One caller at a time; parallel_for must not be called from inside its own work. Owns its threads,
// joins them at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/cpu_kernels.h"
#include "kernels/executor.h"

namespace shoal::kernels {

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(int threads, IsaLevel level);
  ~CpuExecutor() override;
  CpuExecutor(const CpuExecutor&) = delete;
  CpuExecutor& operator=(const CpuExecutor&) = delete;

  Device device() const override { return Device::kCpu; }
  int threads() const override { return static_cast<int>(workers_.size()) + 1; }
  void parallel_for(std::int64_t count, std::int64_t grain,
                    const std::function<void(std::int64_t, std::int64_t)>& work) override;

  const CpuKernels& kernels() const { return kernels_; }

 private:
  void stop();
  void serve();
  // Runs parts of the job that `ticket` belongs to until none is left.
  void work_on(std::uint64_t ticket);

  const CpuKernels& kernels_;

  // The job: written by the caller while no part is out, read by workers before they draw a ticket.
  // A successful draw proves that the job was still the ticket's own.
  std::atomic<const std::function<void(std::int64_t, std::int64_t)>*> work_{nullptr};
  std::atomic<std::int64_t> count_{0};
  std::atomic<std::int64_t> part_length_{1};
  // Number of the job (32 bits), its parts (16), the next part to draw (16).
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> job_{0};  // what sleeping workers wait on
  std::atomic<bool> stopping_{false};

  std::vector<std::thread> workers_;
};

// The executor of a CPU operator.
CpuExecutor& as_cpu(Executor& executor);

// Makes parts of at least this many operations, so that small operators do not pay for waking a
// thread.
inline constexpr std::int64_t kMinPartOperations = 64 * 1024;
constexpr std::int64_t grain_for(std::int64_t operations_per_item) {
  const std::int64_t each = operations_per_item > 0 ? operations_per_item : 1;
  return each >= kMinPartOperations ? 1 : (kMinPartOperations + each - 1) / each;
}

// Memory of the calling thread, 64-byte aligned, kept between calls; its content is undefined.
float* thread_scratch(std::int64_t floats);

}  // namespace shoal::kernels
