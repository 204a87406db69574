// SPDX-License-Identifier: Apache-2.0
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void silu_mul(Executor& executor, const ConstMatrixView& gate_view, const ConstMatrixView& up_view,
              const MatrixView& out_view) {
  CpuExecutor& cpu = of(executor);
  const ConstF32Rows gate = f32_rows(gate_view), up = f32_rows(up_view);
  const F32Rows out = f32_rows(out_view);
  // exp weighs about as much as ten fused multiply-adds.
  cpu.parallel_for(gate.rows, grain_for(10 * gate.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      cpu.kernels().silu_mul(gate.row(r), up.row(r), gate.cols, out.row(r));
    }
  });
}

void embedding(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
               const MatrixView& out_view) {
  CpuExecutor& cpu = of(executor);
  const F32Rows out = f32_rows(out_view);
  const auto* bytes = static_cast<const char*>(table.data);
  const std::int64_t row_bytes = table.cols * static_cast<std::int64_t>(dtype_bytes(table.dtype));
  cpu.parallel_for(out.rows, grain_for(table.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      cpu.kernels().to_f32(bytes + ids[static_cast<std::size_t>(r)] * row_bytes, table.dtype,
                           table.cols, out.row(r));
    }
  });
}

}  // namespace shoal::kernels::cpu
