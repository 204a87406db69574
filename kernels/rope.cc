// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope.h"

#include "kernels/operator_check.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels {

void rope(Executor& executor, MatrixView x, std::int64_t head_dim,
          std::span<const std::int32_t> positions, std::span<const float> inverse_frequency,
          float attention_factor) {
  check_view(x, "x");
  CHECK(head_dim > 0 && head_dim % 2 == 0 && x.cols % head_dim == 0)
      << "head_dim " << head_dim << " of " << x.cols << " columns";
  CHECK(static_cast<std::int64_t>(positions.size()) == x.rows)
      << positions.size() << " positions for " << x.rows << " rows";
  CHECK(static_cast<std::int64_t>(inverse_frequency.size()) == head_dim / 2)
      << inverse_frequency.size() << " frequencies for head_dim " << head_dim;
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::rope(as_cpu(executor), x, head_dim, positions, inverse_frequency,
                       attention_factor);
    case Device::kCuda:
      break;
  }
  refuse_device("rope");
}

}  // namespace shoal::kernels
