// SPDX-License-Identifier: Apache-2.0
// From the logits of one row to what is told of them: the largest, how much all others weigh, and
// those that were asked for by name. Pure; in a fixed order.
#pragma once

#include <cstdint>
#include <span>

#include "proto/scores.h"

namespace shoal::node {

// logits [vocabulary], finite; `top` is at least 1, `also` lies in the vocabulary. The sum over the
// others is in double, their ids rising.
proto::RowScores row_scores(std::span<const float> logits, std::size_t top,
                            std::span<const std::int32_t> also);

}  // namespace shoal::node
