// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "kernels/operator_check.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels {

void silu_mul(Executor& executor, ConstMatrixView gate, ConstMatrixView up, MatrixView out) {
  check_view(gate, "gate");
  check_shape(up, gate.rows, gate.cols, "up");
  check_shape(out, gate.rows, gate.cols, "out");
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::silu_mul(as_cpu(executor), gate, up, out);
    case Device::kCuda:
      break;
  }
  refuse_device("silu_mul");
}

void add(Executor& executor, ConstMatrixView y, MatrixView x) {
  check_view(y, "y");
  check_shape(x, y.rows, y.cols, "x");
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::add(as_cpu(executor), y, x);
    case Device::kCuda:
      break;
  }
  refuse_device("add");
}

void embedding(Executor& executor, WeightView table, std::span<const std::int32_t> ids,
               MatrixView out) {
  check_shape(out, static_cast<std::int64_t>(ids.size()), table.cols, "out");
  for (const std::int32_t id : ids) {
    CHECK(id >= 0 && id < table.rows) << "id " << id << " of " << table.rows;
  }
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::embedding(as_cpu(executor), table, ids, out);
    case Device::kCuda:
      break;
  }
  refuse_device("embedding");
}

}  // namespace shoal::kernels
