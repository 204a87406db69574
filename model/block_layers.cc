// SPDX-License-Identifier: Apache-2.0
#include "model/block_layers.h"

#include <array>
#include <optional>
#include <utility>

#include "base/check.h"
#include "kernels/portable.h"
#include "model/block_weights.h"

namespace shoal::model {
namespace {

struct MatrixPlace {
  kernels::PackedLinear BlockLayers::*layer;
  kernels::WeightView BlockWeights::*weight;
  kernels::WeightView BlockWeights::*bias;
};
// In the order in which they stand in a file: see kPackVersion.
constexpr std::array<MatrixPlace, 7> kMatrices = {{
    {&BlockLayers::q, &BlockWeights::q, &BlockWeights::q_bias},
    {&BlockLayers::k, &BlockWeights::k, &BlockWeights::k_bias},
    {&BlockLayers::v, &BlockWeights::v, &BlockWeights::v_bias},
    {&BlockLayers::output, &BlockWeights::output, &BlockWeights::output_bias},
    {&BlockLayers::gate, &BlockWeights::gate, &BlockWeights::gate_bias},
    {&BlockLayers::up, &BlockWeights::up, &BlockWeights::up_bias},
    {&BlockLayers::down, &BlockWeights::down, &BlockWeights::down_bias},
}};

struct NormPlace {
  kernels::HeldWeight BlockLayers::*norm;
  kernels::WeightView BlockWeights::*weight;
};
constexpr std::array<NormPlace, 4> kNorms = {{
    {&BlockLayers::input_norm, &BlockWeights::input_norm},
    {&BlockLayers::mlp_norm, &BlockWeights::mlp_norm},
    {&BlockLayers::q_norm, &BlockWeights::q_norm},
    {&BlockLayers::k_norm, &BlockWeights::k_norm},
}};

absl::Status no_room() {
  return absl::ResourceExhaustedError(
      "there is not enough memory for the blocks' weights: serve fewer blocks");
}

absl::StatusOr<BlockLayers> with_norms(kernels::Executor& executor, const BlockWeights& weights) {
  BlockLayers layers;
  for (const NormPlace& place : kNorms) {
    std::optional<kernels::HeldWeight> held = kernels::hold_weight(executor, weights.*place.weight);
    if (!held) return no_room();
    layers.*place.norm = *std::move(held);
  }
  return layers;
}

std::size_t packed_matrix_bytes(const kernels::WeightView& weight, WeightChoice choice) {
  return kernels::packed_bytes(format_of(choice, weight.dtype), weight.rows, weight.cols);
}

}  // namespace

absl::StatusOr<BlockLayers> BlockLayers::pack(kernels::Executor& executor, const BlockWeights& w,
                                              WeightChoice choice, const PieceDone& done) {
  absl::StatusOr<BlockLayers> layers = with_norms(executor, w);
  if (!layers.ok()) return layers;
  for (const MatrixPlace& place : kMatrices) {
    const kernels::WeightView& weight = w.*place.weight;
    std::optional<kernels::PackedLinear> packed =
        kernels::pack_linear(executor, weight, w.*place.bias, format_of(choice, weight.dtype));
    if (!packed) return no_room();
    *layers.*place.layer = *std::move(packed);
    if (!done(weight.bytes())) return absl::CancelledError("interrupted");
  }
  return layers;
}

absl::StatusOr<BlockLayers> BlockLayers::place(kernels::Executor& executor, const BlockWeights& w,
                                               WeightChoice choice, PackedFile file) {
  absl::StatusOr<BlockLayers> layers = with_norms(executor, w);
  if (!layers.ok()) return layers;
  const std::span<const std::byte> all = file.matrices();
  CHECK(all.size() == packed_file_bytes(w, choice)) << all.size() << " bytes of matrices";
  std::size_t at = 0;
  for (const MatrixPlace& place : kMatrices) {
    const kernels::WeightView& weight = w.*place.weight;
    std::optional<kernels::PackedLinear> placed =
        kernels::place_packed(executor, all.data() + at, format_of(choice, weight.dtype),
                              weight.rows, weight.cols, w.*place.bias);
    if (!placed) return no_room();
    *layers.*place.layer = *std::move(placed);
    at += filled_up(packed_matrix_bytes(weight, choice));
  }
  if (executor.device() == kernels::Device::kCpu) layers->file = std::move(file);
  return layers;
}

std::size_t BlockLayers::bytes() const {
  std::size_t sum = 0;
  for (const NormPlace& place : kNorms) sum += (this->*place.norm).view().bytes();
  for (const MatrixPlace& place : kMatrices) sum += (this->*place.layer).weight().bytes();
  return sum;
}

HostMatrices BlockLayers::packed(kernels::Executor& executor) const {
  HostMatrices host;
  for (const MatrixPlace& place : kMatrices) {
    const kernels::LinearWeight& weight = (this->*place.layer).weight();
    CHECK(kernels::is_portable(weight.format)) << "a matrix as it is stored";
    const std::size_t bytes = kernels::packed_bytes(weight.format, weight.rows, weight.cols);
    if (weight.device == kernels::Device::kCpu) {
      host.matrices.emplace_back(static_cast<const std::byte*>(weight.values), bytes);
      continue;
    }
    std::vector<std::byte>& copy = host.copies.emplace_back(bytes);
    executor.download(copy.data(), weight.values, bytes);
    host.matrices.emplace_back(copy);
  }
  executor.synchronize();
  return host;
}

std::size_t packed_file_bytes(const BlockWeights& weights, WeightChoice choice) {
  std::size_t sum = 0;
  for (const MatrixPlace& place : kMatrices) {
    sum += filled_up(packed_matrix_bytes(weights.*place.weight, choice));
  }
  return sum;
}

std::size_t stored_matrix_bytes(const BlockWeights& weights) {
  std::size_t sum = 0;
  for (const MatrixPlace& place : kMatrices) sum += (weights.*place.weight).bytes();
  return sum;
}

}  // namespace shoal::model
