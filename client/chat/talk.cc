// SPDX-License-Identifier: Apache-2.0
#include "client/chat/talk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace shoal::client {
model::chat::Conversation question(const Transcript& transcript, const std::tm& now) {
  model::chat::Conversation conversation;
  conversation.messages = transcript.messages();
  conversation.add_generation_prompt = true;
  conversation.now = now;
  return conversation;
}

absl::StatusOr<std::vector<std::int32_t>> chat_ids(const model::Tokenizer& tokenizer,
                                                   const model::chat::ChatTemplate& chat_template,
                                                   const model::chat::Conversation& conversation) {
  const auto segments = chat_template.render(conversation);
  if (!segments.ok()) return segments.status();
  return segment_ids(tokenizer, *segments);
}

absl::StatusOr<std::vector<std::int32_t>> segment_ids(
    const model::Tokenizer& tokenizer, const std::vector<model::chat::Segment>& segments) {
  std::string text;
  std::vector<model::TextRange> strange;
  for (const model::chat::Segment& segment : segments) {
    if (!segment.control_allowed) {
      strange.push_back({text.size(), text.size() + segment.text.size()});
    }
    text += segment.text;
  }
  // The template wrote the special tokens at the edges too.
  return tokenizer.encode(text, {.add_special_tokens = false, .as_text = strange});
}

Talk::Talk(const UserModel& user_model, const model::chat::ChatTemplate& chat_template,
           std::int64_t room_ahead, OpenPipeline open)
    : user_model_(user_model),
      template_(chat_template),
      room_ahead_(room_ahead),
      open_(std::move(open)) {}

absl::Status Talk::prepare(const std::vector<std::int32_t>& ids, std::int64_t positions) {
  if (pipeline_ == nullptr || room_ < positions) {
    pipeline_.reset();  // its leases first
    passed_.clear();
    room_ =
        std::min(positions + room_ahead_, std::max(positions, user_model_.config.max_positions));
    auto opened = open_(room_, ids);
    if (!opened.ok() && room_ > positions) {
      // Nodes that have not so much may have what is needed now.
      room_ = positions;
      opened = open_(room_, ids);
    }
    if (!opened.ok()) return opened.status();
    pipeline_ = *std::move(opened);
    return absl::OkStatus();
  }
  const auto differs = std::mismatch(passed_.begin(), passed_.end(), ids.begin(), ids.end());
  const std::int64_t common = std::min(differs.first - passed_.begin(), std::ssize(ids) - 1);
  if (common < pipeline_->position()) pipeline_->truncate(common);
  return absl::OkStatus();
}

absl::StatusOr<GenerateResult> Talk::answer(const Transcript& transcript,
                                            const ChatSettings& settings, std::uint64_t seed,
                                            const std::tm& now, const base::StopToken& interrupt,
                                            const GenerateObserver& observer) {
  auto ids = chat_ids(*user_model_.tokenizer, template_, question(transcript, now));
  if (!ids.ok()) return ids.status();
  const std::int64_t context = user_model_.config.max_positions;
  if (std::ssize(*ids) >= context) {
    return absl::InvalidArgumentError(
        fmt::format("this talk has {} tokens, and the model's context is {}: /reset begins anew",
                    ids->size(), context));
  }
  GenerateRequest request;
  request.prompt_ids = *std::move(ids);
  request.max_tokens = settings.max_tokens;
  request.sampling = settings.sampling;
  request.seed = settings.seed.value_or(seed);
  request.stops = user_model_.generation.stop_strings;
  const std::vector<std::int32_t>& prompt = request.prompt_ids;
  if (auto ready = prepare(prompt, positions_needed(prompt.size(), request.max_tokens, context));
      !ready.ok()) {
    return ready;
  }
  prompt_tokens_ = prompt.size();
  new_tokens_ = prompt.size() - static_cast<std::size_t>(pipeline_->position());
  auto result = generate(*pipeline_, user_model_, request, interrupt, observer);
  if (!result.ok()) {
    pipeline_.reset();
    return result;
  }
  passed_ = std::move(request.prompt_ids);
  passed_.insert(passed_.end(), result->ids.begin(), result->ids.end());
  passed_.resize(static_cast<std::size_t>(pipeline_->position()));  // the last was not fed back
  return result;
}

}  // namespace shoal::client
