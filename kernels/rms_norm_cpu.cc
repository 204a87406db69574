// SPDX-License-Identifier: Apache-2.0
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void rms_norm(Executor& executor, const ConstMatrixView& x_view, const WeightView& weight,
              float eps, const MatrixView& out_view) {
  CpuExecutor& cpu = of(executor);
  const ConstF32Rows x = f32_rows(x_view);
  const F32Rows out = f32_rows(out_view);
  cpu.parallel_for(x.rows, grain_for(2 * x.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      cpu.kernels().rms_norm(x.row(r), weight.data, weight.dtype, x.cols, eps, out.row(r));
    }
  });
}

}  // namespace shoal::kernels::cpu
