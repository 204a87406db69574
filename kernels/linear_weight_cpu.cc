// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
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

// Tiles of 16 outputs, each by one thread: the same bytes for any number of threads.
std::optional<PackedLinear> pack_portable(CpuExecutor& executor, const WeightView& weight,
                                          const WeightView& bias, WeightFormat format) {
  std::optional<Buffer> buffer = executor.allocate(packed_bytes(format, weight.rows, weight.cols));
  if (!buffer) return std::nullopt;
  CpuExecutor::prefer_large_pages(*buffer);
  const CpuKernels& kernels = executor.kernels();
  const std::int64_t groups = groups_of(weight.cols);
  const std::int64_t tiles = (weight.rows + kTileOutputs - 1) / kTileOutputs;
  const auto row_bytes = static_cast<std::size_t>(weight.cols) * dtype_bytes(weight.dtype);
  const auto value_bytes = dtype_bytes(weight.dtype);
  executor.parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    float row[kGroup], inputs[kGroup * kTileOutputs];
    for (std::int64_t i = begin * groups; i < end * groups; ++i) {
      const std::int64_t n = i / groups * kTileOutputs, k = i % groups * kGroup;
      const std::int64_t here = std::min(kGroup, weight.cols - k);
      std::fill(std::begin(inputs), std::end(inputs), 0.0f);
      for (std::int64_t j = 0; j < std::min(kTileOutputs, weight.rows - n); ++j) {
        kernels.to_f32(static_cast<const char*>(weight.data) +
                           static_cast<std::size_t>(n + j) * row_bytes +
                           static_cast<std::size_t>(k) * value_bytes,
                       weight.dtype, here, row);
        for (std::int64_t c = 0; c < here; ++c) inputs[c * kTileOutputs + j] = row[c];
      }
      kernels.pack_group(
          inputs, format,
          static_cast<std::uint8_t*>(buffer->data()) + i * packed_group_bytes(format));
    }
  });
  const LinearWeight packed =
      portable_weight(buffer->data(), format, weight.rows, weight.cols, bias);
  return PackedLinear(*std::move(buffer), packed);
}

}  // namespace

std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format) {
  if (format == stored_format(weight.dtype)) return PackedLinear({}, LinearWeight(weight, bias));
  if (is_portable(format)) return pack_portable(of(executor), weight, bias, format);
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
