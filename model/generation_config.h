// SPDX-License-Identifier: Apache-2.0
// generation_config.json: the model's own defaults for choosing tokens. A missing file gives
// greedy-free neutral defaults. What the reference would do and we do not is named in `warnings`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

struct SequenceBias {
  std::vector<std::int32_t> ids;  // not empty: the last gets the bias where the others come before
  double bias = 0;                // minus infinity: forbidden
};

// Rules on the scores before any sampling, in the order in which the reference applies them. The
// values here switch each of them off.
struct ScoreRules {
  std::vector<SequenceBias> sequence_bias;
  double encoder_repetition_penalty = 1.0;  // below 1: other tokens than the prompt's
  std::int64_t no_repeat_ngram_size = 0;
  std::int64_t encoder_no_repeat_ngram_size = 0;  // n-grams of the prompt
  std::vector<std::vector<std::int32_t>> bad_words;
  std::int64_t min_length = 0;             // prompt and output
  std::int64_t min_new_tokens = 0;         // output
  std::optional<std::int32_t> forced_bos;  // behind a prompt of one token
  std::vector<std::int32_t> forced_eos;    // as the last token that may come
  std::int64_t decay_start = -1;           // exponential_decay_length_penalty; -1: off
  double decay_factor = 1.0;
  std::vector<std::int32_t> suppressed;        // never
  std::vector<std::int32_t> begin_suppressed;  // not as the first token

  bool any() const;
};

struct GenerationConfig {
  bool do_sample = false;
  double temperature = 1.0;
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1.0;      // 0: the likeliest token alone
  double min_p = 0.0;
  double top_h = 0.0;           // 0: off
  double typical_p = 1.0;       // 1: off
  double epsilon_cutoff = 0.0;  // 0: off
  double eta_cutoff = 0.0;      // 0: off
  double repetition_penalty = 1.0;
  ScoreRules rules;
  std::optional<std::int64_t> max_new_tokens;
  std::optional<std::int64_t> max_length;  // prompt and output; max_new_tokens is stronger
  std::vector<std::string> stop_strings;
  std::vector<std::int32_t> eos_ids;
  std::vector<std::string> warnings;
};

absl::StatusOr<GenerationConfig> load_generation_config(const std::string& directory);

}  // namespace shoal::model
