// SPDX-License-Identifier: Apache-2.0
#include "client/text/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "client/text/scores_needed.h"
#include "client/text/stop.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

double ms_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// The text of generated tokens behind a prompt: decoded with the prompt before it, so that what a
// tokenizer does at the start of a text does not happen in the middle.
class TextBehind {
 public:
  // `shown`: control tokens that are part of the text; `all`: all of them are.
  static absl::StatusOr<TextBehind> make(const model::Tokenizer& tokenizer,
                                         const std::vector<std::int32_t>& prompt_ids,
                                         const std::vector<std::int32_t>& shown, bool all) {
    TextBehind text(tokenizer, shown, all);
    for (const std::int32_t id : prompt_ids) {
      if (auto piece = text.push(id); !piece.ok()) return piece.status();
    }
    return text;
  }
  absl::StatusOr<std::string> push(std::int32_t id) {
    const bool skipped = !all_ && !shown_.empty() && id >= 0 && tokenizer_.is_special(id) &&
                         std::ranges::find(shown_, id) == shown_.end();
    return skipped ? "" : stream_.push(id);
  }
  std::string finish() { return stream_.finish(); }

 private:
  TextBehind(const model::Tokenizer& tokenizer, const std::vector<std::int32_t>& shown, bool all)
      : tokenizer_(tokenizer),
        shown_(shown),
        all_(all),
        stream_(tokenizer, /*skip_special_tokens=*/!all && shown.empty()) {}
  const model::Tokenizer& tokenizer_;
  const std::vector<std::int32_t>& shown_;
  const bool all_;
  model::TextStream stream_;
};

}  // namespace

absl::Status check_prompt_length(std::size_t prompt_tokens, std::int64_t max_positions) {
  if (prompt_tokens == 0) {
    return absl::InvalidArgumentError("the prompt has no tokens: give it some text");
  }
  if (static_cast<std::int64_t>(prompt_tokens) < max_positions) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "the prompt has {} tokens, but the model's context is {} and a new token needs room "
      "in it: shorten the prompt to at most {} tokens",
      prompt_tokens, max_positions, max_positions - 1));
}

std::int64_t positions_needed(std::size_t prompt_tokens, std::int64_t max_tokens,
                              std::int64_t max_positions) {
  const auto prompt = static_cast<std::int64_t>(prompt_tokens);
  const std::int64_t tokens = std::min(max_tokens, max_positions - prompt);
  return prompt + std::max<std::int64_t>(tokens - 1, 0);
}

absl::StatusOr<GenerateResult> generate(Pipeline& pipeline, const UserModel& user_model,
                                        const GenerateRequest& request,
                                        const base::StopToken& interrupt,
                                        const GenerateObserver& observer) {
  const Clock::time_point started = Clock::now();
  if (auto status = check_prompt_length(request.prompt_ids.size(), user_model.config.max_positions);
      !status.ok()) {
    return status;
  }
  auto stream = TextBehind::make(*user_model.tokenizer, request.prompt_ids, request.shown_specials,
                                 request.special_tokens);
  if (!stream.ok()) return stream.status();
  StopText stop(request.stops);
  SamplingOptions sampling = request.sampling;
  std::optional<constrain::ConstrainedText> constrained;
  if (request.constraint) {
    constrained.emplace(request.constraint,
                        request.ignore_eos ? std::vector<std::int32_t>() : user_model.eos_ids);
    // What these force, the form may forbid.
    sampling.rules.forced_bos.reset();
    sampling.rules.forced_eos.clear();
  }
  Sampler sampler(sampling, request.seed);
  const auto prompt = static_cast<std::int64_t>(request.prompt_ids.size());
  const std::int64_t limit = std::min(request.max_tokens, user_model.config.max_positions - prompt);

  GenerateResult result;
  const auto show = [&](const std::string& text) {
    if (text.empty()) return;
    result.text += text;
    if (observer.on_text) observer.on_text(text);
  };
  std::vector<std::int32_t> context = request.prompt_ids;  // prompt and output
  CHECK(pipeline.position() < prompt) << pipeline.position() << " of a prompt of " << prompt;
  auto next =
      std::span<const std::int32_t>(context).subspan(static_cast<std::size_t>(pipeline.position()));
  Scores scores;
  const std::vector<float>& logits = scores.logits;
  std::vector<float> masked;
  Clock::time_point last = started;
  while (result.finish_reason.empty()) {
    const ScoreContext before{
        .ids = context,
        .prompt_length = request.prompt_ids.size(),
        .last_length = request.prompt_ids.size() + static_cast<std::size_t>(limit),
        .eos_ids = user_model.eos_ids};
    std::optional<std::vector<std::int32_t>> allowed;
    if (constrained) {
      auto ids = constrained->allowed(user_model.vocabulary(), proto::kMaxAlsoIds);
      if (!ids.ok()) return ids.status();
      allowed = *std::move(ids);
    }
    const absl::Status scored = pipeline.next_scores(
        next,
        scores_needed(sampling, before,
                      std::max(request.top_logits, request.top_logprobs.value_or(0)),
                      user_model.vocabulary(), allowed ? &*allowed : nullptr),
        scores);
    if (!scored.ok()) {
      if (interrupt.stopped()) {
        result.finish_reason = "interrupted";
        break;
      }
      show(stop.finish());
      return scored;
    }
    const Clock::time_point returned = Clock::now();
    if (request.top_logits > 0) {
      result.top_logits.push_back(top_logits(logits, request.top_logits));
    }
    if (constrained) {
      masked = logits;
      if (auto status = constrained->mask(masked); !status.ok()) return status;
    }
    const std::int32_t id = sampler.next_in(constrained ? masked : logits, before);
    if (constrained) {
      if (auto status = constrained->accept(id); !status.ok()) return status;
    }
    context.push_back(id);
    next = std::span<const std::int32_t>(context).last(1);
    result.ids.push_back(id);

    const bool eos = !request.ignore_eos &&
                     std::binary_search(user_model.eos_ids.begin(), user_model.eos_ids.end(), id);
    if (observer.on_token) observer.on_token(id);
    if (request.top_logprobs && observer.on_score) {
      observer.on_score(score_token(logits, id, *request.top_logprobs, scores.rest_log_sum));
    }
    if (std::ranges::find(request.stop_ids, id) != request.stop_ids.end()) {
      result.stopped_by_id = id;
    }
    // What ends a text is no part of it.
    const bool ends = result.stopped_by_id || (eos && request.special_tokens);
    if (!ends || request.with_stop) {
      auto text = stream->push(id);  // empty for an id that no token has
      if (!text.ok()) return text.status();
      show(stop.push(*text));
      if (stop.stopped() && request.with_stop) show(stop.matched());
    }
    const Clock::time_point now = Clock::now();
    if (result.ids.size() == 1) {
      result.time_to_first_token_ms = ms_between(started, now);
    } else {
      result.per_token_ms.push_back(ms_between(last, now));
    }
    last = now;
    if (observer.on_step) {
      observer.on_step(result.ids.size() - 1, pipeline.timing(),
                       scores.head_us + ms_between(returned, now) * 1e3);
    }
    if (eos || stop.stopped() || result.stopped_by_id || (constrained && constrained->ended())) {
      result.finish_reason = "stop";
    } else if (static_cast<std::int64_t>(result.ids.size()) >= limit) {
      result.finish_reason = "length";
    } else if (interrupt.stopped() || (observer.wanted && !observer.wanted())) {
      result.finish_reason = "interrupted";
    }
  }
  show(stop.push(stream->finish()));
  show(stop.finish());
  result.stopped_by = stop.matched();
  result.total_ms = ms_between(started, Clock::now());
  return result;
}

}  // namespace shoal::client
