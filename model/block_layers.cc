// SPDX-License-Identifier: Apache-2.0
#include "model/block_layers.h"

#include <optional>
#include <utility>

#include "model/block_weights.h"

namespace shoal::model {

absl::StatusOr<BlockLayers> BlockLayers::pack(kernels::Executor& executor, const BlockWeights& w,
                                              WeightChoice choice) {
  BlockLayers layers;
  layers.input_norm = w.input_norm;
  layers.mlp_norm = w.mlp_norm;
  layers.q_norm = w.q_norm;
  layers.k_norm = w.k_norm;
  struct Place {
    kernels::PackedLinear& layer;
    const kernels::WeightView &weight, &bias;
  };
  for (const Place& place :
       {Place{layers.q, w.q, w.q_bias}, Place{layers.k, w.k, w.k_bias},
        Place{layers.v, w.v, w.v_bias}, Place{layers.output, w.output, w.output_bias},
        Place{layers.gate, w.gate, w.gate_bias}, Place{layers.up, w.up, w.up_bias},
        Place{layers.down, w.down, w.down_bias}}) {
    std::optional<kernels::PackedLinear> packed = kernels::pack_linear(
        executor, place.weight, place.bias, format_of(choice, place.weight.dtype));
    if (!packed) {
      return absl::ResourceExhaustedError(
          "there is not enough memory for the blocks' weights: serve fewer blocks");
    }
    place.layer = *std::move(packed);
  }
  return layers;
}

std::size_t BlockLayers::bytes() const {
  std::size_t sum = input_norm.bytes() + mlp_norm.bytes() + q_norm.bytes() + k_norm.bytes();
  for (const kernels::PackedLinear* layer : {&q, &k, &v, &output, &gate, &up, &down}) {
    sum += layer->weight().bytes();
  }
  return sum;
}

}  // namespace shoal::model
