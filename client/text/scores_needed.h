// SPDX-License-Identifier: Apache-2.0
// What a node's head has to tell so that a token is chosen as from all logits: as few of the
// largest as do, and by name those that rules and penalties may lift above them. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "client/text/sampler.h"
#include "proto/scores.h"

namespace shoal::client {

// `shown`: so many of the largest are wanted besides, for people. `allowed`: a form forbids all but
// these, or, where there are none, all but too many to be named; null: there is no form.
proto::ScoresWanted scores_needed(const SamplingOptions& options, const ScoreContext& context,
                                  int shown, std::size_t vocabulary,
                                  const std::vector<std::int32_t>* allowed = nullptr);

}  // namespace shoal::client
