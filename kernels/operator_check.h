// SPDX-License-Identifier: Apache-2.0
// What every operator checks of its views: shape, memory, and that it lies where the executor
// works.
#pragma once

#include "base/check.h"
#include "kernels/executor.h"
#include "kernels/kv_pages.h"
#include "kernels/linear_weight.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

inline void check_device(const Executor& executor, Device device, const char* name) {
  CHECK(device == executor.device()) << name << " lies on " << device_name(device)
                                     << ", the executor is of " << device_name(executor.device());
}
inline void check_view(const Executor& executor, const ConstMatrixView& view, const char* name) {
  CHECK(view.rows >= 0 && view.cols >= 0 && (view.rows <= 1 || view.stride >= view.cols))
      << name << " [" << view.rows << ", " << view.cols << "] stride " << view.stride;
  CHECK(view.data != nullptr || view.rows * view.cols == 0) << name << " has no data";
  check_device(executor, view.device, name);
}
inline void check_shape(const Executor& executor, const ConstMatrixView& view, std::int64_t rows,
                        std::int64_t cols, const char* name) {
  check_view(executor, view, name);
  CHECK(view.rows == rows && view.cols == cols) << name << " is [" << view.rows << ", " << view.cols
                                                << "], must be [" << rows << ", " << cols << "]";
}
inline void check_weight(const Executor& executor, const WeightView& weight, std::int64_t rows,
                         std::int64_t cols, const char* name) {
  CHECK(weight.rows == rows && weight.cols == cols)
      << name << " is [" << weight.rows << ", " << weight.cols << "], must be [" << rows << ", "
      << cols << "]";
  CHECK(weight.present() || rows * cols == 0) << name << " has no data";
  check_device(executor, weight.device, name);
}
inline void check_linear(const Executor& executor, const LinearWeight& weight, std::int64_t rows,
                         std::int64_t cols, const char* name) {
  CHECK(weight.rows == rows && weight.cols == cols)
      << name << " is [" << weight.rows << ", " << weight.cols << "], must be [" << rows << ", "
      << cols << "]";
  CHECK(weight.present() || rows * cols == 0) << name << " has no data";
  check_device(executor, weight.device, name);
  if (weight.bias.present()) check_weight(executor, weight.bias, 1, rows, "bias");
}
inline void check_plan(const Executor& executor, const StepPlan& plan, std::int64_t rows) {
  CHECK(plan.sealed()) << "the step's tables are not made";
  CHECK(plan.padded_rows() == rows) << rows << " rows, the step has " << plan.padded_rows();
  check_device(executor, plan.device(), "the step's plan");
}
inline void check_pages(const Executor& executor, const KvPages& pages, const KvLayout& layout,
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

}  // namespace shoal::kernels
