// SPDX-License-Identifier: Apache-2.0
// Weights on their way to a GPU: stored values go over in pieces and are packed there, beside them
// their bias.
#include <algorithm>
#include <utility>

#include "kernels/cpu_executor.h"
#include "kernels/cuda/host_operators.h"
#include "kernels/cuda/stored_layout.h"
#include "kernels/portable.h"

namespace shoal::kernels::cuda::host {
namespace {

// Of stored values that are on the device at a time.
constexpr std::int64_t kPieceBytes = 64 << 20;

constexpr std::size_t filled_up(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

std::size_t bytes_of(WeightFormat format, DType stored, std::int64_t rows, std::int64_t cols) {
  return is_portable(format) ? packed_bytes(format, rows, cols) : stored_bytes(stored, rows, cols);
}

// Memory for packed values and a bias, with the bias in it.
struct Place {
  Buffer buffer;
  WeightView bias;
};
std::optional<Place> place_for(CudaExecutor& gpu, std::size_t bytes, const WeightView& bias) {
  const std::size_t values = filled_up(bytes);
  std::optional<Buffer> buffer =
      gpu.allocate(values + (bias.present() ? bias.bytes() : std::size_t{0}));
  if (!buffer) return std::nullopt;
  Place place{*std::move(buffer), bias};
  if (bias.present()) {
    char* const to = static_cast<char*>(place.buffer.data()) + values;
    gpu.upload(to, bias.data, bias.bytes());
    place.bias.data = to;
    place.bias.device = Device::kCuda;
  }
  return place;
}

LinearWeight weight_at(const Place& place, WeightFormat format, std::int64_t rows,
                       std::int64_t cols) {
  LinearWeight weight;
  if (is_portable(format)) {
    weight = portable_weight(place.buffer.data(), format, rows, cols, place.bias);
  } else {
    weight.format = format;
    weight.rows = rows;
    weight.cols = cols;
    weight.values = place.buffer.data();
    weight.bias = place.bias;
  }
  weight.device = Device::kCuda;
  return weight;
}

}  // namespace

std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format) {
  CudaExecutor& gpu = of(executor);
  CHECK(is_portable(format) || format == stored_format(weight.dtype))
      << "a GPU keeps weights as they are stored, or in a portable format";
  std::optional<Place> place =
      place_for(gpu, bytes_of(format, weight.dtype, weight.rows, weight.cols), bias);
  if (!place) return std::nullopt;
  const auto row_bytes = static_cast<std::int64_t>(dtype_bytes(weight.dtype)) * weight.cols;
  // Whole tiles of outputs.
  const std::int64_t at_once =
      std::max(kPieceBytes / row_bytes / kTileOutputs, std::int64_t{1}) * kTileOutputs;
  std::optional<Buffer> piece =
      gpu.allocate(static_cast<std::size_t>(std::min(at_once, weight.rows) * row_bytes));
  if (!piece) return std::nullopt;
  for (std::int64_t row = 0; row < weight.rows; row += at_once) {
    const std::int64_t rows = std::min(at_once, weight.rows - row);
    gpu.upload(piece->data(), static_cast<const char*>(weight.data) + row * row_bytes,
               static_cast<std::size_t>(rows * row_bytes));
    void* const to =
        static_cast<char*>(place->buffer.data()) + bytes_of(format, weight.dtype, row, weight.cols);
    if (is_portable(format)) {
      const PackPortable a{piece->data(), weight.dtype, rows, weight.cols, format, to};
      gpu.module().pack_portable(gpu.context(), &a);
    } else {
      const PackStored a{piece->data(), weight.dtype, rows, weight.cols, to};
      gpu.module().pack_stored(gpu.context(), &a);
    }
  }
  gpu.synchronize();  // the piece goes
  const LinearWeight packed = weight_at(*place, format, weight.rows, weight.cols);
  return PackedLinear(std::move(place->buffer), packed);
}

// By the host, whose bytes are the same.
std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias) {
  CudaExecutor& gpu = of(executor);
  CpuExecutor host(1);
  const std::optional<PackedLinear> packed =
      host.operators().pack_quantized(host, weight, WeightView{});
  if (!packed) return std::nullopt;
  const std::size_t bytes = packed_bytes(weight.format, weight.rows, weight.cols);
  std::optional<Place> place = place_for(gpu, bytes, bias);
  if (!place) return std::nullopt;
  gpu.upload(place->buffer.data(), packed->weight().values, bytes);
  gpu.synchronize();
  const LinearWeight there = weight_at(*place, weight.format, weight.rows, weight.cols);
  return PackedLinear(std::move(place->buffer), there);
}

}  // namespace shoal::kernels::cuda::host
