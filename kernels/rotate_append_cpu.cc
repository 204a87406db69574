// SPDX-License-Identifier: Apache-2.0
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

void norm_heads(const CpuKernels& kernels, float* row, std::int64_t cols, std::int64_t head_dim,
                const WeightView& weight, float eps) {
  if (!weight.present()) return;
  for (float* head = row; head < row + cols; head += head_dim) {
    kernels.rms_norm(head, weight.data, weight.dtype, head_dim, eps, head);
  }
}

}  // namespace

void rotate_append(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                   const KvLayout& layout, const StepPlan& plan) {
  CpuExecutor& cpu = of(executor);
  const CpuKernels& kernels = cpu.kernels();
  const F32Rows q = f32_rows(rows.q), k = f32_rows(rows.k);
  const ConstF32Rows v = f32_rows(rows.v);
  const StepTables tables = plan.tables();
  const std::int64_t dim = layout.head_dim, heads = q.cols / dim;
  const std::int64_t tile = kPagePositions * kv_vector_bytes(pages.dtype, dim);
  auto* const pool = static_cast<char*>(pages.data);

  const auto rotate = [&](float* row, std::int64_t count, std::int64_t r) {
    kernels.rope(row, count, dim, tables.cosines + r * tables.half, tables.sines + r * tables.half);
  };
  const auto keep = [&](std::int64_t r) {
    const std::int64_t position = tables.positions[r];
    const std::int32_t id = tables.pages[tables.page_begin[r] + position / kPagePositions];
    const std::int64_t at = position % kPagePositions;
    for (std::int64_t h = 0; h < layout.kv_heads; ++h) {
      char* const head = pool + id * pages.stride_bytes + h * tile;
      kernels.keep_kv(k.row(r) + h * dim, pages.dtype, dim, head + layout.key_offset_bytes, at);
      kernels.keep_kv(v.row(r) + h * dim, pages.dtype, dim, head + layout.value_offset_bytes, at);
    }
  };
  const std::int64_t operations = 5 * (q.cols + k.cols) + 2 * k.cols;
  cpu.parallel_for(q.rows, grain_for(operations), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      norm_heads(kernels, q.row(r), q.cols, dim, rows.q_norm, rows.norm_eps);
      norm_heads(kernels, k.row(r), k.cols, dim, rows.k_norm, rows.norm_eps);
      if (tables.half > 0) {
        rotate(q.row(r), heads, r);
        rotate(k.row(r), layout.kv_heads, r);
      }
      if (layout.kv_heads > 0) keep(r);
    }
  });
}

}  // namespace shoal::kernels::cpu
