// SPDX-License-Identifier: Apache-2.0
// A model's chat template: found in its folder, and conversations rendered by it as the reference
// does (transformers 5, apply_chat_template). Immutable, may be shared by threads.
//
// The text comes in segments. A tokenizer splits it at control tokens that lie within one segment
// with control_allowed, and at nothing else: what stands between two control tokens is encoded in
// one piece, across segments, so that where no control token's spelling stands in what users wrote
// the ids are those of the whole text. It adds no special tokens: the template has written them.
#pragma once

#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/chat/template.h"

namespace shoal::model::chat {

struct Conversation {
  // Objects with "role", and "content" (a text, or parts), "tool_calls", "tool_call_id", "name",
  // "reasoning_content" ... as OpenAI's API has them. As the reference does: keys that are null
  // count as absent; reasoning is found as reasoning_content, thinking and reasoning. The arguments
  // of a tool call that come as a text with a JSON object become that object.
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools;      // a list of objects, or null
  nlohmann::ordered_json documents;  // likewise
  bool add_generation_prompt = false;
  nlohmann::ordered_json extra;  // more names for the template, as an object; or null
  std::string template_name;     // empty: the usual one
  std::tm now{};                 // local time
};

class ChatTemplate {
 public:
  // DIR/chat_template.jinja with those of DIR/chat_templates/, else DIR/chat_template.json, else
  // "chat_template" of DIR/tokenizer_config.json. NOT_FOUND where the model has none.
  static absl::StatusOr<ChatTemplate> load(const std::string& directory);
  // special_tokens: "bos_token" to its text, and so on.
  static absl::StatusOr<ChatTemplate> parse(
      std::string_view source, const std::map<std::string, std::string>& special_tokens);

  absl::StatusOr<std::vector<Segment>> render(const Conversation& conversation,
                                              const RenderLimits& limits = {}) const;
  std::vector<std::string> names() const;  // of its templates; "default" is the usual one
  // Whether one of them has this text in its source.
  bool mentions(std::string_view text) const;

 private:
  explicit ChatTemplate(const std::map<std::string, std::string>& special_tokens);
  absl::Status add(const std::string& name, std::string_view source);
  absl::StatusOr<const Template*> chosen(const Conversation& conversation) const;

  std::map<std::string, Template> templates_;
  std::vector<std::string> sources_;
  nlohmann::ordered_json special_tokens_;
};

}  // namespace shoal::model::chat
