// SPDX-License-Identifier: Apache-2.0
#include "kernels/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "base/check.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kGrain = 64 * 1024;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double time_read(CpuExecutor& executor, std::span<const float> data) {
  const CpuKernels& kernels = executor.kernels();
  const auto size = static_cast<std::int64_t>(data.size_bytes());
  CHECK(size % kGrain == 0) << size << " bytes";
  std::atomic<float> sink{0};  // keeps the reads
  const auto start = std::chrono::steady_clock::now();
  executor.parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    sink.store(kernels.read(data.data() + begin / 4, end - begin), std::memory_order_relaxed);
  });
  return seconds_since(start);
}

double measure_read_bandwidth(CpuExecutor& executor, std::int64_t bytes, int repeats) {
  const std::vector<float> buffer(static_cast<std::size_t>(bytes / kGrain * kGrain / 4), 1.0f);
  const auto size = static_cast<double>(buffer.size()) * 4;
  double best = 0;
  for (int i = 0; i < repeats; ++i) best = std::max(best, size / time_read(executor, buffer));
  return best;
}

double measure_fma_peak(CpuExecutor& executor, int repeats) {
  constexpr std::int64_t kIterations = 200'000;
  const CpuKernels& kernels = executor.kernels();
  const std::int64_t parts = executor.threads() * 4;
  std::atomic<float> sink{0};
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    executor.parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        sink.store(kernels.fma_loop(kIterations, 0.5f), std::memory_order_relaxed);
      }
    });
    const double flops = static_cast<double>(parts * kIterations * kernels.fma_loop_flops);
    best = std::max(best, flops / seconds_since(start));
  }
  return best;
}

}  // namespace shoal::kernels
