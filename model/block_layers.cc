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

BlockLayers with_norms(const BlockWeights& weights) {
  BlockLayers layers;
  layers.input_norm = weights.input_norm;
  layers.mlp_norm = weights.mlp_norm;
  layers.q_norm = weights.q_norm;
  layers.k_norm = weights.k_norm;
  return layers;
}

std::size_t packed_matrix_bytes(const kernels::WeightView& weight, WeightChoice choice) {
  return kernels::packed_bytes(format_of(choice, weight.dtype), weight.rows, weight.cols);
}

}  // namespace

absl::StatusOr<BlockLayers> BlockLayers::pack(kernels::Executor& executor, const BlockWeights& w,
                                              WeightChoice choice, const PieceDone& done) {
  BlockLayers layers = with_norms(w);
  for (const MatrixPlace& place : kMatrices) {
    const kernels::WeightView& weight = w.*place.weight;
    std::optional<kernels::PackedLinear> packed =
        kernels::pack_linear(executor, weight, w.*place.bias, format_of(choice, weight.dtype));
    if (!packed) {
      return absl::ResourceExhaustedError(
          "there is not enough memory for the blocks' weights: serve fewer blocks");
    }
    layers.*place.layer = *std::move(packed);
    if (!done(weight.bytes())) return absl::CancelledError("interrupted");
  }
  return layers;
}

BlockLayers BlockLayers::view(kernels::Executor& executor, const BlockWeights& w,
                              WeightChoice choice, PackedFile file) {
  BlockLayers layers = with_norms(w);
  const std::span<const std::byte> all = file.matrices();
  CHECK(all.size() == packed_file_bytes(w, choice)) << all.size() << " bytes of matrices";
  std::size_t at = 0;
  for (const MatrixPlace& place : kMatrices) {
    const kernels::WeightView& weight = w.*place.weight;
    layers.*place.layer =
        kernels::view_packed(executor, all.data() + at, format_of(choice, weight.dtype),
                             weight.rows, weight.cols, w.*place.bias);
    at += filled_up(packed_matrix_bytes(weight, choice));
  }
  layers.file = std::move(file);
  return layers;
}

std::size_t BlockLayers::bytes() const {
  std::size_t sum = input_norm.bytes() + mlp_norm.bytes() + q_norm.bytes() + k_norm.bytes();
  for (const MatrixPlace& place : kMatrices) sum += (this->*place.layer).weight().bytes();
  return sum;
}

std::vector<std::span<const std::byte>> BlockLayers::packed() const {
  std::vector<std::span<const std::byte>> matrices;
  for (const MatrixPlace& place : kMatrices) {
    const kernels::LinearWeight& weight = (this->*place.layer).weight();
    CHECK(kernels::is_portable(weight.format)) << "a matrix as it is stored";
    matrices.emplace_back(static_cast<const std::byte*>(weight.values),
                          kernels::packed_bytes(weight.format, weight.rows, weight.cols));
  }
  return matrices;
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
