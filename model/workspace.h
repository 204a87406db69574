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

namespace shoal::model {

// Values of a row.
struct RowWidths {
  std::int64_t hidden = 0;
  std::int64_t query = 0;         // heads * head_dim
  std::int64_t key = 0;           // kv_heads * head_dim
  std::int64_t intermediate = 0;  // of the gated MLP

  std::int64_t sum() const { return 2 * hidden + query + 2 * key + intermediate; }
};

struct ModelConfig;
RowWidths row_widths(const ModelConfig& config);

class Workspace {
 public:
  // nullopt when the executor's memory is short.
  static std::optional<Workspace> make(kernels::Executor& executor, const RowWidths& widths,
                                       std::int64_t max_rows);
  static std::size_t bytes(const RowWidths& widths, std::int64_t max_rows) {
    return static_cast<std::size_t>(widths.sum() * max_rows) * sizeof(float);
  }

  const RowWidths& widths() const { return widths_; }
  std::int64_t max_rows() const { return max_rows_; }
  // [rows, width]; CHECKs rows <= max_rows().
  kernels::MatrixView x(std::int64_t rows) const { return part(0, widths_.hidden, rows); }
  kernels::MatrixView normed(std::int64_t rows) const {
    return part(widths_.hidden, widths_.hidden, rows);
  }
  kernels::MatrixView q(std::int64_t rows) const {
    return part(2 * widths_.hidden, widths_.query, rows);
  }
  kernels::MatrixView k(std::int64_t rows) const {
    return part(2 * widths_.hidden + widths_.query, widths_.key, rows);
  }
  kernels::MatrixView v(std::int64_t rows) const {
    return part(2 * widths_.hidden + widths_.query + widths_.key, widths_.key, rows);
  }
  kernels::MatrixView gated(std::int64_t rows) const {
    return part(widths_.sum() - widths_.intermediate, widths_.intermediate, rows);
  }

 private:
  Workspace(kernels::Buffer memory, const RowWidths& widths, std::int64_t max_rows)
      : memory_(std::move(memory)), widths_(widths), max_rows_(max_rows) {}
  kernels::MatrixView part(std::int64_t column, std::int64_t cols, std::int64_t rows) const;

  kernels::Buffer memory_;
  RowWidths widths_;
  std::int64_t max_rows_ = 0;
};

}  // namespace shoal::model
