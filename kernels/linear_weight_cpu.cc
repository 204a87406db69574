// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

DType dtype_of(WeightFormat format) {
  return format == WeightFormat::kF32    ? DType::kF32
         : format == WeightFormat::kBF16 ? DType::kBF16
                                         : DType::kF16;
}

}  // namespace

std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format) {
  if (format == stored_format(weight.dtype)) return PackedLinear({}, LinearWeight(weight, bias));
  const CpuKernels& kernels = of(executor).kernels();
  WeightView packed = weight;
  packed.dtype = dtype_of(format);
  std::optional<Buffer> buffer = executor.allocate(packed.bytes());
  if (!buffer) return std::nullopt;
  packed.data = buffer->data();
  const auto from_bytes = static_cast<std::size_t>(weight.cols) * dtype_bytes(weight.dtype);
  const auto to_bytes = static_cast<std::size_t>(weight.cols) * dtype_bytes(packed.dtype);
  std::vector<float> row(static_cast<std::size_t>(weight.cols));
  for (std::size_t n = 0; n < static_cast<std::size_t>(weight.rows); ++n) {
    kernels.to_f32(static_cast<const char*>(weight.data) + n * from_bytes, weight.dtype,
                   weight.cols, row.data());
    kernels.from_f32(row.data(), packed.dtype, weight.cols,
                     static_cast<char*>(buffer->data()) + n * to_bytes);
  }
  return PackedLinear(*std::move(buffer), LinearWeight(packed, bias));
}

}  // namespace shoal::kernels::cpu
