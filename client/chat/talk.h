// SPDX-License-Identifier: Apache-2.0
// A talk with a model: what was said is rendered by the model's template, and what is new of it
// goes through a pipeline that stays open between the turns, so that only new tokens travel. One
// caller at a time; owns the pipeline.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/chat/chat_settings.h"
#include "client/chat/transcript.h"
#include "client/text/generate.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "model/chat/chat_template.h"

namespace shoal::client {

// With room for so many positions, for a text that begins so.
using OpenPipeline = std::function<absl::StatusOr<std::unique_ptr<Pipeline>>(
    std::int64_t positions, const std::vector<std::int32_t>& prompt)>;

// For an answer to its last turn; `now` is local time.
model::chat::Conversation question(const Transcript& transcript, const std::tm& now);

// The ids of messages: what the template wrote may be control tokens, what people wrote may not.
absl::StatusOr<std::vector<std::int32_t>> chat_ids(const model::Tokenizer& tokenizer,
                                                   const model::chat::ChatTemplate& chat_template,
                                                   const model::chat::Conversation& conversation);

absl::StatusOr<std::vector<std::int32_t>> segment_ids(
    const model::Tokenizer& tokenizer, const std::vector<model::chat::Segment>& segments);

class Talk {
 public:
  // All must outlive it. `room_ahead`: positions that a pipeline has beyond what its first turn
  // needs, as far as the model's context goes.
  Talk(const UserModel& user_model, const model::chat::ChatTemplate& chat_template,
       std::int64_t room_ahead, OpenPipeline open);

  // An answer to the last turn. `seed` is used where the settings have none; `now` is local time.
  // INVALID_ARGUMENT where the talk has become too long for the model. An interrupt is no error
  // (generate.h). After an error the next answer opens another pipeline.
  absl::StatusOr<GenerateResult> answer(const Transcript& transcript, const ChatSettings& settings,
                                        std::uint64_t seed, const std::tm& now,
                                        const base::StopToken& interrupt,
                                        const GenerateObserver& observer);

  const Pipeline* pipeline() const { return pipeline_.get(); }  // null: none is open
  // Of the last answer: tokens of the whole talk, and those of them that had to be computed.
  std::size_t prompt_tokens() const { return prompt_tokens_; }
  std::size_t new_tokens() const { return new_tokens_; }

 private:
  // A pipeline with room for so many positions that has computed a beginning of `ids`, not all.
  absl::Status prepare(const std::vector<std::int32_t>& ids, std::int64_t positions);

  const UserModel& user_model_;
  const model::chat::ChatTemplate& template_;
  const std::int64_t room_ahead_;
  const OpenPipeline open_;
  std::unique_ptr<Pipeline> pipeline_;
  std::int64_t room_ = 0;             // positions of the pipeline
  std::vector<std::int32_t> passed_;  // through it
  std::size_t prompt_tokens_ = 0, new_tokens_ = 0;
};

}  // namespace shoal::client
