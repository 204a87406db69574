// SPDX-License-Identifier: Apache-2.0
// The intermediate values of a step, in one buffer of the executor that is made at the start and
// never grows: graphs of a device may keep its addresses. Move-only; owns the buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "kernels/buffer.h"
#include "kernels/executor.h"
#include "model/block_spec.h"

namespace shoal::model {

class Workspace {
 public:
  // nullopt when the executor's memory is short.
  static std::optional<Workspace> make(kernels::Executor& executor, std::int64_t hidden,
                                       const BlockWidths& widths, std::int64_t max_rows);
  static std::size_t bytes(std::int64_t hidden, const BlockWidths& widths, std::int64_t max_rows) {
    return static_cast<std::size_t>(values(hidden, widths) * max_rows) * sizeof(float);
  }

  std::int64_t max_rows() const { return max_rows_; }
  // [rows, width]; CHECKs rows <= max_rows().
  kernels::MatrixView x(std::int64_t rows) const { return part(0, hidden_, rows); }
  kernels::MatrixView normed(std::int64_t rows) const { return part(hidden_, hidden_, rows); }
  kernels::MatrixView q(std::int64_t rows) const { return part(2 * hidden_, widths_.query, rows); }
  kernels::MatrixView k(std::int64_t rows) const {
    return part(2 * hidden_ + widths_.query, widths_.key, rows);
  }
  kernels::MatrixView v(std::int64_t rows) const {
    return part(2 * hidden_ + widths_.query + widths_.key, widths_.key, rows);
  }
  kernels::MatrixView gated(std::int64_t rows) const {
    return part(2 * hidden_ + widths_.query + 2 * widths_.key, widths_.mlp, rows);
  }
  // [max_rows()], of the executor's device: kernels/finite_rows.h.
  std::uint32_t* finite() const;

 private:
  Workspace(kernels::Buffer memory, std::int64_t hidden, const BlockWidths& widths,
            std::int64_t max_rows)
      : memory_(std::move(memory)), hidden_(hidden), widths_(widths), max_rows_(max_rows) {}
  // Of a row.
  static std::int64_t values(std::int64_t hidden, const BlockWidths& widths) {
    return 2 * hidden + widths.query + 2 * widths.key + widths.mlp + 1;
  }
  kernels::MatrixView part(std::int64_t column, std::int64_t cols, std::int64_t rows) const;

  kernels::Buffer memory_;
  std::int64_t hidden_ = 0;
  BlockWidths widths_;
  std::int64_t max_rows_ = 0;
};

}  // namespace shoal::model
