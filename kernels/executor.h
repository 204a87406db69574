// SPDX-License-Identifier: Apache-2.0
// Where operators run: a device and, for the CPU, its threads. One caller at a time; owns the
// worker threads. Results never depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/tensor.h"

namespace shoal::kernels {

class Executor {
 public:
  // threads: including the calling one; 0 means one per available core.
  static std::unique_ptr<Executor> cpu(int threads);
  virtual ~Executor() = default;

  virtual Device device() const = 0;
  virtual int threads() const = 0;
  // Calls work(begin, end) on disjoint parts that cover [0, count), each a multiple of `grain` long
  // but the last; returns when all are done.
  virtual void parallel_for(
      std::int64_t count, std::int64_t grain,
      const std::function<void(std::int64_t begin, std::int64_t end)>& work) = 0;
};

// The CPU instruction sets that kernels are compiled for; chosen at run time, or by
// SHOAL_CPU=baseline|avx2|avx512. All give bitwise the same results.
const char* cpu_instruction_set();

}  // namespace shoal::kernels
