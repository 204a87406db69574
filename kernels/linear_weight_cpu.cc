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

// The byte of an output and input within a packed group's values, and which half of it (q4, q4s).
struct Place {
  std::int64_t byte;
  bool high;
};
Place place_of(WeightFormat format, std::int64_t output, std::int64_t input) {
  if (format == WeightFormat::kQ8) return {input / 4 * 64 + output * 4 + input % 4, false};
  return {input / 8 * 64 + output * 4 + input % 4, input % 8 >= 4};
}

// What is added to a value when it is packed, and the range that it is in.
struct Range {
  int offset, least, most;
};
Range range_of(WeightFormat format) {
  if (format == WeightFormat::kQ8) return {128, -127, 127};
  if (format == WeightFormat::kQ4) return {0, 0, 15};
  return {8, -8, 7};
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

std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias) {
  const WeightFormat format = weight.format;
  const std::size_t bytes = packed_bytes(format, weight.rows, weight.cols);
  std::optional<Buffer> buffer = executor.allocate(bytes);
  if (!buffer) return std::nullopt;
  CpuExecutor::prefer_large_pages(*buffer);
  auto* const packed = static_cast<std::uint8_t*>(buffer->data());
  const std::int64_t groups = groups_of(weight.cols), each = packed_group_bytes(format);
  const std::int64_t theirs = (weight.cols + weight.group - 1) / weight.group;
  const Range range = range_of(format);
  // Inputs past the last are 0, and outputs past the last have scale 0.
  const auto zero =
      static_cast<std::uint8_t>(format == WeightFormat::kQ4S ? range.offset * 0x11 : range.offset);
  std::fill(packed, packed + bytes, zero);
  of(executor).parallel_for(
      (weight.rows + kTileOutputs - 1) / kTileOutputs, 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin * groups; i < end * groups; ++i) {
          std::uint8_t* const group = packed + i * each;
          auto* const scales = reinterpret_cast<std::uint16_t*>(group);
          std::uint8_t* const values = group + (format == WeightFormat::kQ4 ? 64 : 32);
          std::fill(group, values, std::uint8_t{0});
          const std::int64_t n = i / groups * kTileOutputs, k = i % groups * kGroup;
          for (std::int64_t j = 0; j < std::min(kTileOutputs, weight.rows - n); ++j) {
            const std::int64_t of_theirs = (n + j) * theirs + k / weight.group;
            scales[j] = weight.scales[of_theirs];
            if (weight.minima != nullptr) scales[kTileOutputs + j] = weight.minima[of_theirs];
            for (std::int64_t c = 0; c < std::min(kGroup, weight.cols - k); ++c) {
              const int byte = range.offset + weight.values[(n + j) * weight.cols + k + c];
              CHECK(byte >= range.offset + range.least && byte <= range.offset + range.most)
                  << "a weight of " << byte - range.offset;
              const Place place = place_of(format, j, c);
              std::uint8_t& to = values[place.byte];
              if (format == WeightFormat::kQ8) {
                to = static_cast<std::uint8_t>(byte);
              } else {
                to = static_cast<std::uint8_t>(place.high ? (to & 0x0f) | byte << 4
                                                          : (to & 0xf0) | byte);
              }
            }
          }
        }
      });
  return PackedLinear(*std::move(buffer),
                      portable_weight(packed, format, weight.rows, weight.cols, bias));
}

}  // namespace shoal::kernels::cpu
