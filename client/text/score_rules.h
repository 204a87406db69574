// SPDX-License-Identifier: Apache-2.0
// The rules of generation_config.json on the scores of the next token, before any sampling:
// biased, forbidden and forced tokens, n-grams that may not come again, a least length. In the
// order of Hugging Face transformers. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/generation_config.h"

namespace shoal::client {

// What the rules look at besides the scores.
struct ScoreContext {
  std::span<const std::int32_t> ids;  // prompt and output so far
  std::size_t prompt_length = 0;      // of them
  std::size_t last_length = 0;        // prompt and output at their longest; 0: no limit
  std::span<const std::int32_t> eos_ids;
};

// `scores`: by token id; forbidden ones become minus infinity. In two halves, because the
// repetition penalty stands between them. Ids outside of the vocabulary are passed over.
void apply_early_rules(const model::ScoreRules& rules, const ScoreContext& context,
                       std::span<double> scores);
void apply_late_rules(const model::ScoreRules& rules, const ScoreContext& context,
                      std::span<double> scores);

}  // namespace shoal::client
