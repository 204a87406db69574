// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void rms_norm(CpuExecutor& executor, ConstMatrixView x, WeightView weight, float eps,
              MatrixView out) {
  const CpuKernels& kernels = executor.kernels();
  const float* scale = static_cast<const float*>(weight.data);
  thread_local std::vector<float> wide;  // kept between calls
  if (weight.dtype != DType::kF32) {
    wide.resize(static_cast<std::size_t>(weight.cols));
    kernels.to_f32(weight.data, weight.dtype, weight.cols, wide.data());
    scale = wide.data();
  }
  executor.parallel_for(x.rows, grain_for(2 * x.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      kernels.rms_norm(x.row(r), scale, x.cols, eps, out.row(r));
    }
  });
}

}  // namespace shoal::kernels::cpu
