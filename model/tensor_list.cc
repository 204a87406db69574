// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_list.h"

#include "absl/strings/str_cat.h"

namespace shoal::model {

std::int64_t TensorSpec::values() const {
  std::int64_t product = 1;
  for (const std::int64_t dimension : shape) product *= dimension;
  return product;
}

std::string block_prefix(const ModelConfig& config, std::int64_t block) {
  return absl::StrCat(config.names.blocks, block, ".");
}

std::vector<TensorSpec> block_tensors(const ModelConfig& config, std::int64_t block) {
  const std::string prefix = block_prefix(config, block);
  std::vector<TensorSpec> tensors;
  for (const WeightSpec& weight : config.block(block).weights) {
    TensorSpec& tensor = tensors.emplace_back();
    tensor.name = prefix + weight.weight_name();
    if (!weight.is_vector()) tensor.shape.push_back(weight.rows);
    tensor.shape.push_back(weight.cols);
    if (weight.bias) tensors.push_back({prefix + weight.bias_name(), {weight.rows}});
  }
  return tensors;
}

std::vector<TensorSpec> end_tensors(const ModelConfig& config) {
  return {{config.names.embedding, {config.vocabulary, config.hidden}},
          {config.names.final_norm, {config.hidden}},
          {config.names.head, {config.vocabulary, config.hidden}}};
}

}  // namespace shoal::model
