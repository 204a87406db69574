// SPDX-License-Identifier: Apache-2.0
#include "model/workspace.h"

#include <utility>

#include "base/check.h"

namespace shoal::model {

std::optional<Workspace> Workspace::make(kernels::Executor& executor, std::int64_t hidden,
                                         const BlockWidths& widths, std::int64_t max_rows) {
  CHECK(max_rows > 0) << max_rows << " rows";
  std::optional<kernels::Buffer> memory = executor.allocate(bytes(hidden, widths, max_rows));
  if (!memory) return std::nullopt;
  return Workspace(*std::move(memory), hidden, widths, max_rows);
}

std::uint32_t* Workspace::finite() const {
  return static_cast<std::uint32_t*>(memory_.data()) + (values(hidden_, widths_) - 1) * max_rows_;
}

kernels::MatrixView Workspace::part(std::int64_t column, std::int64_t cols,
                                    std::int64_t rows) const {
  CHECK(rows >= 0 && rows <= max_rows_) << rows << " rows in a workspace of " << max_rows_;
  return {static_cast<float*>(memory_.data()) + column * max_rows_,
          rows,
          cols,
          cols,
          kernels::DType::kF32,
          memory_.device()};
}

}  // namespace shoal::model
