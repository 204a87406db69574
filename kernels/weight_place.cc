// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_place.h"

#include <utility>

#include "kernels/portable.h"

namespace shoal::kernels {

std::optional<WeightPlace> WeightPlace::make(Executor& executor, std::size_t value_bytes,
                                             const WeightView& bias) {
  constexpr std::size_t kAlignment = 256;
  const std::size_t values = (value_bytes + kAlignment - 1) / kAlignment * kAlignment;
  std::optional<Buffer> buffer =
      executor.allocate(values + (bias.present() ? bias.bytes() : std::size_t{0}));
  if (!buffer) return std::nullopt;
  WeightPlace place{*std::move(buffer), bias};
  if (bias.present()) {
    char* const to = static_cast<char*>(place.buffer.data()) + values;
    executor.upload(to, bias.data, bias.bytes());
    place.bias.data = to;
    place.bias.device = executor.device();
  }
  return place;
}

PackedLinear WeightPlace::filled(WeightFormat format, std::int64_t rows, std::int64_t cols) {
  LinearWeight weight;
  weight.format = format;
  weight.device = buffer.device();
  weight.rows = rows;
  weight.cols = cols;
  weight.group = is_portable(format) ? kGroup : 0;
  weight.values = buffer.data();
  weight.bias = bias;
  return PackedLinear(std::move(buffer), weight);
}

}  // namespace shoal::kernels
