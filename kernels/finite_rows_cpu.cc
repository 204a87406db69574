// SPDX-License-Identifier: Apache-2.0
#include "base/finite.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {

void finite_rows(Executor& executor, const ConstMatrixView& x_view, std::uint32_t* finite) {
  const ConstF32Rows x = f32_rows(x_view);
  of(executor).parallel_for(x.rows, grain_for(x.cols), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      finite[r] = base::all_finite({x.row(r), static_cast<std::size_t>(x.cols)}) ? 1 : 0;
    }
  });
}

}  // namespace shoal::kernels::cpu
