// SPDX-License-Identifier: Apache-2.0
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void silu_mul(CpuExecutor& executor, ConstMatrixView gate, ConstMatrixView up, MatrixView out) {
  // exp weighs about as much as ten fused multiply-adds.
  executor.parallel_for(
      gate.rows, grain_for(10 * gate.cols), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
          executor.kernels().silu_mul(gate.row(r), up.row(r), gate.cols, out.row(r));
        }
      });
}

void add(CpuExecutor& executor, ConstMatrixView y, MatrixView x) {
  executor.parallel_for(y.rows, grain_for(y.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      executor.kernels().add(y.row(r), y.cols, x.row(r));
    }
  });
}

void embedding(CpuExecutor& executor, WeightView table, std::span<const std::int32_t> ids,
               MatrixView out) {
  const auto* bytes = static_cast<const char*>(table.data);
  const std::int64_t row_bytes = table.cols * static_cast<std::int64_t>(dtype_bytes(table.dtype));
  executor.parallel_for(out.rows, grain_for(table.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      executor.kernels().to_f32(bytes + ids[static_cast<std::size_t>(r)] * row_bytes, table.dtype,
                                table.cols, out.row(r));
    }
  });
}

}  // namespace shoal::kernels::cpu
