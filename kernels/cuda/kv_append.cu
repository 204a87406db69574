// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/kv_append.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"

namespace shoal::kernels::cuda {

void kv_append(Context& context, const KvAppend& a) {
  const std::int64_t vectors = 2 * a.step.most_rows * a.kv.kv_heads;
  launch(context, {ceil_div<std::int64_t>(vectors, kAppendThreads / 32)}, kAppendThreads, 0,
         &append_kernel, AppendRun{a, kPage * kv_vector_bytes(a.kv.dtype, a.kv.head_dim)});
}

}  // namespace shoal::kernels::cuda
