// SPDX-License-Identifier: Apache-2.0
// The loop that turns a prompt into text: prefill, then one token at a time through a pipeline,
// until a stop. The same for one process and for a swarm. One caller at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/constrain/token_constraint.h"
#include "client/text/pipeline.h"
#include "client/text/sampler.h"
#include "client/text/token_score.h"
#include "client/text/user_model.h"

namespace shoal::client {

struct GenerateRequest {
  std::vector<std::int32_t> prompt_ids;
  std::int64_t max_tokens = 0;
  SamplingOptions sampling;
  std::uint64_t seed = 0;
  std::vector<std::string> stops;
  std::vector<std::int32_t> stop_ids;  // end the text, and are no part of it
  bool ignore_eos = false;
  bool with_stop = false;       // the text holds what ended it too
  bool special_tokens = false;  // and the texts of control tokens
  int top_logits = 0;           // so many of the largest are kept for each token
  // For on_score: with so many of the likeliest; nothing: no scores.
  std::optional<int> top_logprobs;
  // The form of the text: it ends where nothing can follow, as by an end-of-text token.
  std::shared_ptr<constrain::TokenConstraint> constraint{};
  std::vector<std::int32_t> shown_specials{};  // control tokens that are part of the text
};

struct GenerateResult {
  std::vector<std::int32_t> ids;                  // generated; an end-of-text token included
  std::string text;                               // what was shown: of the generated tokens alone
  std::string finish_reason;                      // "stop", "length" or "interrupted"
  std::string stopped_by;                         // the one of the stops that ended it, if any
  std::optional<std::int32_t> stopped_by_id;      // or of the stop ids
  std::vector<std::vector<TopLogit>> top_logits;  // per generated token, before any sampling step
  double time_to_first_token_ms = 0;
  std::vector<double> per_token_ms;  // from one token to the next; one less than ids
  double total_ms = 0;
};

struct GenerateObserver {
  std::function<void(const std::string& text)> on_text;  // pieces that are certain, in order
  std::function<bool()> wanted;  // asked after each token: false ends it as an interrupt does
  // After each append: the index of the token that came of it, its timing, and the client's own
  // share.
  std::function<void(std::size_t token, const StepTiming& timing, double client_us)> on_step;
  std::function<void(std::int32_t id)> on_token{};  // before its score
  // Of each token, before its text.
  std::function<void(const TokenScore& score)> on_score{};
};

// INVALID_ARGUMENT when the prompt leaves no room in the context.
absl::Status check_prompt_length(std::size_t prompt_tokens, std::int64_t max_positions);
// Positions of KV that a generation can need: the last token is never fed back.
std::int64_t positions_needed(std::size_t prompt_tokens, std::int64_t max_tokens,
                              std::int64_t max_positions);

// What the pipeline has computed of the prompt already, position() tokens, is not computed again:
// it must be the prompt's beginning, and not all of it.
//
// An interrupt is no error: what came so far is returned with finish_reason "interrupted". Any
// other error of the pipeline is returned as it is, after the text so far went to on_text.
absl::StatusOr<GenerateResult> generate(Pipeline& pipeline, const UserModel& user_model,
                                        const GenerateRequest& request,
                                        const base::StopToken& interrupt,
                                        const GenerateObserver& observer = {});

}  // namespace shoal::client
