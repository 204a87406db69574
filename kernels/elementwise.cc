// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {

void silu_mul(Executor& executor, const ConstMatrixView& gate, const ConstMatrixView& up,
              const MatrixView& out) {
  check_view(executor, gate, "gate");
  check_shape(executor, up, gate.rows, gate.cols, "up");
  check_shape(executor, out, gate.rows, gate.cols, "out");
  executor.operators().silu_mul(executor, gate, up, out);
}

void embedding(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
               const MatrixView& out) {
  check_shape(executor, out, static_cast<std::int64_t>(ids.size()), table.cols, "out");
  check_device(executor, table.device, "the table");
  for (const std::int32_t id : ids) {
    CHECK(id >= 0 && id < table.rows) << "id " << id << " of " << table.rows;
  }
  executor.operators().embedding(executor, table, ids, out);
}

}  // namespace shoal::kernels
