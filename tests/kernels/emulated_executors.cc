// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "kernels/cpu_executor.h"
#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {

const std::vector<NamedExecutor>& all_executors() {
  static const std::vector<NamedExecutor> executors = [] {
    std::vector<NamedExecutor> made;
    made.push_back(
        {"baseline x1", std::make_unique<CpuExecutor>(1, cpu_kernels(IsaLevel::kBaseline))});
    using cuda::emulator::MmaRule;
    const auto add = [&made](std::uint64_t seed, bool late_copies, bool late_work, MmaRule rule) {
      auto opened = cuda::CudaExecutor::open(
          cuda::emulator::module(
              {.machine = {.seed = seed, .late_copies = late_copies, .mma_rule = rule},
               .late_work = late_work}),
          0);
      CHECK(opened.executor != nullptr) << opened.why;
      made.push_back({"emulated GPU, seed " + std::to_string(seed) +
                          (late_copies ? ", late copies" : "") + (late_work ? ", late work" : ""),
                      std::move(opened.executor)});
    };
    add(2, true, true, MmaRule::kHopper);
#ifndef SHOAL_SANITIZED
    add(1, false, false, MmaRule::kAmpere);
    add(3, true, false, MmaRule::kAmpere);
#endif
    return made;
  }();
  return executors;
}

Executor& cpu_executor() { return *all_executors().front().executor; }

#ifdef SHOAL_SANITIZED
bool sweeps_are_short() { return true; }
#else
bool sweeps_are_short() { return false; }
#endif

}  // namespace shoal::kernels
