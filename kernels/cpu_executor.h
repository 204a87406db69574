// SPDX-License-Identifier: Apache-2.0
// The CPU behind Executor: persistent worker threads, one table of kernels, scratch for each
// thread. One caller at a time; parallel_for must not be called from inside its own work. Owns its
// threads, joins them at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/function_ref.h"
#include "kernels/cpu_kernels.h"
#include "kernels/executor.h"

namespace shoal::kernels {

class CpuExecutor final : public Executor {
 public:
  // With the best instruction set of this machine (isa_chosen()), or another. 0 threads: one for
  // each core.
  explicit CpuExecutor(int threads) : CpuExecutor(threads, cpu_kernels(isa_chosen())) {}
  CpuExecutor(int threads, const CpuKernels& kernels);
  ~CpuExecutor() override;
  CpuExecutor(const CpuExecutor&) = delete;
  CpuExecutor& operator=(const CpuExecutor&) = delete;

  Device device() const override { return Device::kCpu; }
  const Operators& operators() const override;
  std::optional<Buffer> allocate(std::size_t bytes) override;
  void discard(void* begin, void* end) override;
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override {}  // every call is done when it returns

  // Asks for large pages under memory that is read from one end to the other, as weights are.
  static void prefer_large_pages(const Buffer& buffer);

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  const CpuKernels& kernels() const { return kernels_; }

  // Calls work(begin, end), or work(begin, end, scratch), on disjoint parts that cover [0, count),
  // each a multiple of `grain` long but the last; returns when all are done. scratch
  // [kThreadScratchFloats], 64-byte aligned, is the thread's own; its content is undefined.
  template <class Work>
  void parallel_for(std::int64_t count, std::int64_t grain, const Work& work) {
    if constexpr (std::is_invocable_v<const Work&, std::int64_t, std::int64_t, float*>) {
      run(count, grain, work);
    } else {
      run(count, grain,
          [&work](std::int64_t begin, std::int64_t end, float*) { work(begin, end); });
    }
  }

  // The thread's own scratch, for whoever hands out parts of it himself.
  float* scratch_of(int thread) const {
    return static_cast<float*>(scratch_.data()) + thread * kThreadScratchFloats;
  }
  // Room for `rows` quantized rows of k values, until it is asked for again; they must fit
  // kQuantizedBytes.
  QuantizedRows quantized_rows(std::int64_t rows, std::int64_t k) const;

 private:
  using Part = base::FunctionRef<void(std::int64_t begin, std::int64_t end, float* scratch)>;

  void run(std::int64_t count, std::int64_t grain, Part part);
  void stop();
  void serve(int thread);
  // Runs parts of the job that `ticket` belongs to until none is left.
  void work_on(std::uint64_t ticket, int thread);

  const CpuKernels& kernels_;
  Buffer scratch_;    // [threads, kThreadScratchFloats], committed as far as it is used
  Buffer quantized_;  // [kQuantizedBytes], likewise

  // The job: written by the caller while no part is out, read by workers before they draw a ticket.
  // A successful draw proves that the job was still the ticket's own.
  std::atomic<const Part*> work_{nullptr};
  std::atomic<std::int64_t> count_{0};
  std::atomic<std::int64_t> part_length_{1};
  // Number of the job (32 bits), its parts (16), the next part to draw (16).
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> job_{0};  // what sleeping workers wait on
  std::atomic<bool> stopping_{false};

  std::vector<std::thread> workers_;
};

// Activations of one product, quantized: more rows come in several goes.
inline constexpr std::int64_t kQuantizedBytes = 32 << 20;

// Makes parts of at least this many operations, so that small operators do not pay for waking a
// thread.
inline constexpr std::int64_t kMinPartOperations = 64 * 1024;
constexpr std::int64_t grain_for(std::int64_t operations_per_item) {
  const std::int64_t each = operations_per_item > 0 ? operations_per_item : 1;
  return each >= kMinPartOperations ? 1 : (kMinPartOperations + each - 1) / each;
}

// A view of the CPU as numbers; CHECKs that it is one.
F32Rows f32_rows(const MatrixView& view);
ConstF32Rows f32_rows(const ConstMatrixView& view);

}  // namespace shoal::kernels
