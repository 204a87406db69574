// SPDX-License-Identifier: Apache-2.0
#include "kernels/linear_weight.h"

#include "kernels/mma.h"
#include "kernels/operator_check.h"
#include "kernels/operators.h"
#include "kernels/portable.h"
#include "kernels/weight_place.h"

namespace shoal::kernels {

LinearWeight portable_weight(const void* values, WeightFormat format, std::int64_t rows,
                             std::int64_t cols, const WeightView& bias) {
  LinearWeight weight;
  weight.format = format;
  weight.rows = rows;
  weight.cols = cols;
  weight.group = kGroup;
  weight.values = values;
  weight.bias = bias;
  return weight;
}

std::size_t LinearWeight::bytes() const {
  const std::size_t each = format == WeightFormat::kF32 ? 4 : 2;
  const std::size_t own = !present()            ? 0
                          : is_portable(format) ? packed_bytes(format, rows, cols)
                          : is_mma(format)      ? mma_bytes(rows, cols)
                                                : static_cast<std::size_t>(rows * cols) * each;
  return own + (bias.present() ? bias.bytes() : 0);
}

std::optional<PackedLinear> place_packed(Executor& executor, const void* values,
                                         WeightFormat format, std::int64_t rows, std::int64_t cols,
                                         const WeightView& bias) {
  CHECK(is_portable(format) && reinterpret_cast<std::uintptr_t>(values) % 64 == 0)
      << "packed weights at " << values;
  if (executor.device() == Device::kCpu) {
    return PackedLinear({}, portable_weight(values, format, rows, cols, bias));
  }
  const std::size_t bytes = packed_bytes(format, rows, cols);
  std::optional<WeightPlace> place = WeightPlace::make(executor, bytes, bias);
  if (!place) return std::nullopt;
  executor.upload(place->buffer.data(), values, bytes);
  return place->filled(format, rows, cols);
}

namespace {

void check_bias(const WeightView& bias, std::int64_t outputs) {
  CHECK(!bias.present() || bias.device == Device::kCpu)
      << "weights are packed from the host's memory";
  CHECK(!bias.present() || (bias.rows == 1 && bias.cols == outputs))
      << "bias is [" << bias.rows << ", " << bias.cols << "] for " << outputs << " outputs";
}

}  // namespace

std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format) {
  CHECK(weight.device == Device::kCpu) << "weights are packed from the host's memory";
  CHECK(weight.present() && weight.rows > 0 && weight.cols > 0) << "no weights";
  check_bias(bias, weight.rows);
  CHECK(!is_mma(format) ||
        (executor.mma() != MmaKind::kNone &&
         weight.dtype == (format == WeightFormat::kMmaBF16 ? DType::kBF16 : DType::kF16)))
      << dtype_name(weight.dtype) << " for float tensor cores on "
      << device_name(executor.device());
  return executor.operators().pack_linear(executor, weight, bias, format);
}

std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias) {
  CHECK(is_portable(weight.format) && weight.rows > 0 && weight.cols > 0) << "no weights";
  CHECK(weight.group == 32 || weight.group == 64 || weight.group == 128)
      << "groups of " << weight.group;
  CHECK(weight.values != nullptr && weight.scales != nullptr &&
        (weight.minima != nullptr) == (weight.format == WeightFormat::kQ4))
      << "values, scales, or minima";
  check_bias(bias, weight.rows);
  return executor.operators().pack_quantized(executor, weight, bias);
}

}  // namespace shoal::kernels
