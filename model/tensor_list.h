// SPDX-License-Identifier: Apache-2.0
// Which tensors a model has, by their full names: what its BlockSpecs and TensorNames say, spelled
// out. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace shoal::model {

struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;

  std::int64_t values() const;
  bool operator==(const TensorSpec&) const = default;
};

// "model.layers.7."
std::string block_prefix(const ModelConfig& config, std::int64_t block);
std::vector<TensorSpec> block_tensors(const ModelConfig& config, std::int64_t block);
// Embedding, final norm and head. Where they are tied, a file may hold the first, the last or both.
std::vector<TensorSpec> end_tensors(const ModelConfig& config);

}  // namespace shoal::model
