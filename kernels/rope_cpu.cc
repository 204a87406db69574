// SPDX-License-Identifier: Apache-2.0
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void rope(Executor& executor, const MatrixView& x_view, std::int64_t head_dim,
          const StepPlan& plan) {
  CpuExecutor& cpu = of(executor);
  const F32Rows x = f32_rows(x_view);
  const std::int64_t half = plan.half(), heads = x.cols / head_dim;
  cpu.parallel_for(x.rows, grain_for(3 * x.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      cpu.kernels().rope(x.row(r), heads, head_dim, plan.cosines() + r * half,
                         plan.sines() + r * half);
    }
  });
}

}  // namespace shoal::kernels::cpu
