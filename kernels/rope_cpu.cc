// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void rope(CpuExecutor& executor, MatrixView x, std::int64_t head_dim,
          std::span<const std::int32_t> positions, std::span<const float> inverse_frequency,
          float attention_factor) {
  const std::int64_t half = head_dim / 2;
  // One sine and cosine weigh about as much as 100 of the rotation's operations.
  const std::int64_t operations = 3 * x.cols + 100 * half;
  executor.parallel_for(x.rows, grain_for(operations), [&](std::int64_t begin, std::int64_t end) {
    float* cosine = thread_scratch(head_dim);
    float* sine = cosine + half;
    for (std::int64_t r = begin; r < end; ++r) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(positions[static_cast<std::size_t>(r)]) *
                             static_cast<double>(inverse_frequency[static_cast<std::size_t>(i)]);
        cosine[i] = static_cast<float>(std::cos(angle) * attention_factor);
        sine[i] = static_cast<float>(std::sin(angle) * attention_factor);
      }
      executor.kernels().rope(x.row(r), x.cols / head_dim, head_dim, cosine, sine);
    }
  });
}

}  // namespace shoal::kernels::cpu
