// SPDX-License-Identifier: Apache-2.0
// The executors that every operator's test runs on: each instruction set of this machine with 1 and
// with 3 threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu_executor.h"

namespace shoal::kernels {

struct NamedExecutor {
  std::string name;
  std::unique_ptr<CpuExecutor> executor;
};

inline std::vector<IsaLevel> supported_levels() {
  std::vector<IsaLevel> levels;
  for (const IsaLevel level : {IsaLevel::kBaseline, IsaLevel::kAvx2, IsaLevel::kAvx512}) {
    if (isa_supported(level)) levels.push_back(level);
  }
  return levels;
}

inline const std::vector<NamedExecutor>& all_executors() {
  static const std::vector<NamedExecutor> executors = [] {
    std::vector<NamedExecutor> made;
    for (const IsaLevel level : supported_levels()) {
      for (const int threads : {1, 3}) {
        made.push_back({std::string(isa_name(level)) + " x" + std::to_string(threads),
                        std::make_unique<CpuExecutor>(threads, level)});
      }
    }
    return made;
  }();
  return executors;
}

}  // namespace shoal::kernels
