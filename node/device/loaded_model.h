// SPDX-License-Identifier: Apache-2.0
// The model folder as a node needs it: configuration, mapped weights, name and digest. Immutable
// after open().
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/tensor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/memory_needs.h"
#include "proto/offer.h"

namespace shoal::node {

struct LoadedModel {
  std::string name;
  model::ModelConfig config;
  model::Checkpoint checkpoint;
  proto::Digest digest;
  model::MemoryNeeds needs;
  std::vector<std::string> warnings;  // one line each: where the folder's files disagree
  proto::Numerics numerics;

  // `name` may be empty: then the folder's. Reads headers and samples of the weights only.
  static absl::StatusOr<LoadedModel> open(const std::string& directory, std::string name,
                                          kernels::DType kv_dtype = kernels::DType::kF32);
};

}  // namespace shoal::node
