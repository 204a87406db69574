// SPDX-License-Identifier: Apache-2.0
// Memory of a device for the values of a layer, and its bias behind them. Internal to kernels/.
#pragma once

#include <cstddef>
#include <optional>

#include "kernels/executor.h"
#include "kernels/linear_weight.h"

namespace shoal::kernels {

struct WeightPlace {
  Buffer buffer;  // the values are its begin
  WeightView bias;

  // With the bias in it, if there is one; nullopt when the device's memory is short.
  static std::optional<WeightPlace> make(Executor& executor, std::size_t value_bytes,
                                         const WeightView& bias);
  // Of the values [rows, cols] that stand there by then. The place is left empty.
  PackedLinear filled(WeightFormat format, std::int64_t rows, std::int64_t cols);
};

}  // namespace shoal::kernels
