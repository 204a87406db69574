// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_executor.h"
#include "tests/kernels/evex_vnni.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/instruction_sets.h"

namespace shoal::kernels {

const std::vector<NamedExecutor>& all_executors() {
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

Executor& cpu_executor() { return *all_executors().back().executor; }

bool sweeps_are_short() { return false; }

}  // namespace shoal::kernels
