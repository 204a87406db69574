// SPDX-License-Identifier: Apache-2.0
// Weights on their way to a GPU: stored values go over in pieces and are packed there.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu_executor.h"
#include "kernels/cuda/host_operators.h"
#include "kernels/cuda/stored_layout.h"
#include "kernels/mma.h"
#include "kernels/portable.h"
#include "kernels/weight_place.h"

namespace shoal::kernels::cuda::host {
namespace {

// Of stored values that are on the device at a time.
constexpr std::int64_t kPieceBytes = 64 << 20;

std::size_t bytes_of(WeightFormat format, DType stored, std::int64_t rows, std::int64_t cols) {
  if (is_mma(format)) return mma_bytes(rows, cols);
  return is_portable(format) ? packed_bytes(format, rows, cols) : stored_bytes(stored, rows, cols);
}

}  // namespace

std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format) {
  CudaExecutor& gpu = of(executor);
  CHECK(is_portable(format) || is_mma(format) || format == stored_format(weight.dtype))
      << "a GPU keeps weights as they are stored, or in a portable format";
  std::optional<WeightPlace> place =
      WeightPlace::make(gpu, bytes_of(format, weight.dtype, weight.rows, weight.cols), bias);
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
    } else if (is_mma(format)) {
      const PackMma a{static_cast<const std::uint16_t*>(piece->data()), rows, weight.cols, to};
      gpu.module().pack_mma(gpu.context(), &a);
    } else {
      const PackStored a{piece->data(), weight.dtype, rows, weight.cols, to};
      gpu.module().pack_stored(gpu.context(), &a);
    }
  }
  gpu.synchronize();  // the piece goes
  return place->filled(format, weight.rows, weight.cols);
}

// By the host, whose bytes are the same.
std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias) {
  CudaExecutor& gpu = of(executor);
  CpuExecutor host(1);
  const std::optional<PackedLinear> packed =
      host.operators().pack_quantized(host, weight, WeightView{});
  if (!packed) return std::nullopt;
  return place_packed(gpu, packed->weight().values, weight.format, weight.rows, weight.cols, bias);
}

}  // namespace shoal::kernels::cuda::host
