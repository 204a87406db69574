// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "tests/model/engine.h"

namespace shoal::model {

// The odd ones do their work at once, the even ones when somebody waits for it. Float tensor cores
// are those of mma8, from 4 on of mma9.
std::unique_ptr<kernels::Executor> make_engine(int variant) {
  using kernels::cuda::emulator::MmaRule;
  const bool late = variant % 2 == 0;
  auto opened = kernels::cuda::CudaExecutor::open(
      kernels::cuda::emulator::module(
          {.machine = {.seed = static_cast<std::uint64_t>(variant),
                       .late_copies = late,
                       .mma_rule = variant < 4 ? MmaRule::kAmpere : MmaRule::kHopper},
           .late_work = late}),
      0);
  CHECK(opened.executor != nullptr) << opened.why;
  return std::move(opened.executor);
}

bool engine_is_slow() { return true; }

}  // namespace shoal::model
