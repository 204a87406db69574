// SPDX-License-Identifier: Apache-2.0
// The executors that every operator's test runs on: each instruction set of this machine, and what
// it can show of another, with 1 and with 3 threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu_executor.h"
#include "tests/kernels/evex_vnni.h"

namespace shoal::kernels {

struct NamedExecutor {
  std::string name;
  std::unique_ptr<CpuExecutor> executor;
};

inline std::vector<IsaLevel> supported_levels() {
  std::vector<IsaLevel> levels;
  for (const IsaLevel level : {IsaLevel::kBaseline, IsaLevel::kAvx2, IsaLevel::kAvxVnni,
                               IsaLevel::kAvx512, IsaLevel::kAvx512Vnni}) {
    if (isa_supported(level)) levels.push_back(level);
  }
  return levels;
}

inline const std::vector<NamedExecutor>& all_executors() {
  static const std::vector<NamedExecutor> executors = [] {
    std::vector<NamedExecutor> made;
    const auto add = [&made](const std::string& name, const CpuKernels& kernels) {
      for (const int threads : {1, 3}) {
        made.push_back({name + " x" + std::to_string(threads),
                        std::make_unique<CpuExecutor>(threads, kernels)});
      }
    };
    for (const IsaLevel level : supported_levels()) add(isa_name(level), cpu_kernels(level));
#if defined(__x86_64__)
    if (isa_supported(IsaLevel::kAvx512Vnni)) {
      static const CpuKernels evex = [] {
        CpuKernels kernels = cpu_kernels(IsaLevel::kAvx2);
        kernels.integers = kEvexVnniIntegers;
        return kernels;
      }();
      add("avx_vnni, encoded for avx512", evex);
    }
#endif
    return made;
  }();
  return executors;
}

}  // namespace shoal::kernels
