// SPDX-License-Identifier: Apache-2.0
// What every operator checks of its views, and the refusal of a device that this build does not
// have.
#pragma once

#include "base/check.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

inline void check_view(const ConstMatrixView& view, const char* name) {
  CHECK(view.rows >= 0 && view.cols >= 0 && (view.rows <= 1 || view.stride >= view.cols))
      << name << " [" << view.rows << ", " << view.cols << "] stride " << view.stride;
  CHECK(view.data != nullptr || view.rows * view.cols == 0) << name << " has no data";
}
inline void check_shape(const ConstMatrixView& view, std::int64_t rows, std::int64_t cols,
                        const char* name) {
  check_view(view, name);
  CHECK(view.rows == rows && view.cols == cols) << name << " is [" << view.rows << ", " << view.cols
                                                << "], must be [" << rows << ", " << cols << "]";
}
inline void check_weight(const WeightView& weight, std::int64_t rows, std::int64_t cols,
                         const char* name) {
  CHECK(weight.rows == rows && weight.cols == cols)
      << name << " is [" << weight.rows << ", " << weight.cols << "], must be [" << rows << ", "
      << cols << "]";
  CHECK(weight.present() || rows * cols == 0) << name << " has no data";
}

[[noreturn]] inline void refuse_device(const char* op) {
  CHECK(false) << op << " has no kernel for this device";
  std::abort();
}

}  // namespace shoal::kernels
