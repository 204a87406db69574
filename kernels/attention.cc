// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include "kernels/operator_check.h"
#include "kernels/operators.h"

namespace shoal::kernels {
namespace {

void check_pages(const Executor& executor, const KvPages& pages, const KvLayout& layout,
                 const StepPlan& plan) {
  check_device(executor, pages.device, "the pool of pages");
  CHECK(pages.data != nullptr) << "a pool without memory";
  CHECK(layout.kv_heads > 0 && layout.head_dim > 0 && layout.key_offset_bytes >= 0 &&
        layout.value_offset_bytes >= 0)
      << layout.kv_heads << " heads of " << layout.head_dim << " at " << layout.key_offset_bytes
      << " and " << layout.value_offset_bytes;
  CHECK(pages.stride_bytes >=
        kPagePositions * kv_position_bytes(pages.dtype, layout.kv_heads, layout.head_dim))
      << "pages of " << pages.stride_bytes << " bytes";
  for (const StepSequence& s : plan.sequences()) {
    const std::int64_t needed = (s.start_position + s.rows + kPagePositions - 1) / kPagePositions;
    CHECK(s.rows == 0 || s.pages >= needed) << s.pages << " pages, " << needed << " needed";
  }
}

}  // namespace

void kv_append(Executor& executor, const ConstMatrixView& keys, const ConstMatrixView& values,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan) {
  check_shape(executor, keys, keys.rows, layout.kv_heads * layout.head_dim, "keys");
  check_shape(executor, values, keys.rows, keys.cols, "values");
  check_plan(executor, plan, keys.rows);
  check_pages(executor, pages, layout, plan);
  executor.operators().kv_append(executor, keys, values, pages, layout, plan);
}

void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out) {
  CHECK(heads > 0 && layout.kv_heads > 0 && heads % layout.kv_heads == 0 && window >= 0)
      << heads << " heads over " << layout.kv_heads << ", window " << window;
  check_shape(executor, q, q.rows, heads * layout.head_dim, "q");
  check_shape(executor, out, q.rows, q.cols, "out");
  check_plan(executor, plan, q.rows);
  check_pages(executor, pages, layout, plan);
  executor.operators().attention(executor, q, heads, pages, layout, plan, scale, window, out);
}

}  // namespace shoal::kernels
