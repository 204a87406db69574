// SPDX-License-Identifier: Apache-2.0
// Scores by the head that this process has: what a pipeline does whose rows come back to it. Also
// makes Scores of what a node tells. As thread-safe as the model's ends.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "proto/scores.h"

namespace shoal::client {

// As Pipeline::next_scores() and each_scores(), by append() and the model's head. INTERNAL when a
// logit is not finite; else what the pipeline or the model's files say.
absl::Status own_next_scores(Pipeline& pipeline, const UserModel& user_model,
                             std::span<const std::int32_t> ids, Scores& scores);
absl::Status own_each_scores(Pipeline& pipeline, const UserModel& user_model,
                             std::span<const std::int32_t> ids, const ScoreSink& sink);

// `also`: the ids that were named for the row.
void take_told(const proto::RowScores& told, std::span<const std::int32_t> also,
               std::size_t vocabulary, Scores& scores);

}  // namespace shoal::client
