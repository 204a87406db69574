// SPDX-License-Identifier: Apache-2.0
// One vector of a text: all blocks once, the final norm, and the model's rule of which rows of that
// count (model/pooling.h). Sums are made in double in the order of the rows, so that a swarm and
// one process give the same bits. One caller at a time for each pipeline.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "model/pooling.h"

namespace shoal::client {

// [hidden]. The pipeline stands at position 0 and has room for `ids`, at least one. The model must
// have its ends here.
absl::StatusOr<std::vector<float>> embedding_of(Pipeline& pipeline, const UserModel& user_model,
                                                const model::Pooling& pooling,
                                                std::span<const std::int32_t> ids);

// The first `dimensions` values, again of length 1 where the rule asks for that. Pure.
void shorten(std::vector<float>& values, std::size_t dimensions, const model::Pooling& pooling);

}  // namespace shoal::client
