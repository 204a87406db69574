// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/rotate_append.cuh"

namespace shoal::kernels::cuda {

void rotate_append(Context& context, const RotateAppend& a) {
  constexpr std::int64_t kWarps = kRotateThreads / 32;
  RotateAppendRun run{};
  run.a = a;
  run.head_dim = static_cast<std::int32_t>(a.kv.head_dim);
  run.heads = static_cast<std::int32_t>(a.q.cols / a.kv.head_dim);
  run.kv_heads = static_cast<std::int32_t>(a.kv.kv_heads);
  run.pitch = ceil_div(run.head_dim, 4) * 4;
  run.tile_bytes = kPage * kv_vector_bytes(a.kv.dtype, a.kv.head_dim);
  const std::int64_t vectors = a.step.most_rows * (run.heads + 2 * run.kv_heads);
  launch(context, {ceil_div(vectors, kWarps)}, kRotateThreads,
         static_cast<std::size_t>(kWarps * run.pitch) * sizeof(float), &rotate_append_kernel, run);
}

}  // namespace shoal::kernels::cuda
