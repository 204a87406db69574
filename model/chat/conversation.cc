// SPDX-License-Identifier: Apache-2.0
#include "model/chat/conversation.h"

#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"

namespace shoal::model::chat {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxConversationDepth = 64;

ordered_json without_nulls(const ordered_json& message) {
  ordered_json result = ordered_json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) result[key] = value;
  }
  return result;
}

// Old names of the reasoning fill the new one, and `thinking`, which some templates read, first.
ordered_json with_reasoning(ordered_json message) {
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    const auto found = message.find(key);
    if (found == message.end()) continue;
    const ordered_json reasoning = *found;
    ordered_json result = {{"thinking", reasoning}};
    for (const auto& [name, value] : message.items()) result[name] = value;
    result["reasoning_content"] = reasoning;
    return result;
  }
  return message;
}

// A text that holds no JSON object stays: the template sees what there is.
void parse_arguments(ordered_json& call) {
  if (!call.is_object()) return;
  for (ordered_json* holder : {&call, call.contains("function") ? &call["function"] : nullptr}) {
    if (holder == nullptr || !holder->is_object()) continue;
    const auto arguments = holder->find("arguments");
    if (arguments == holder->end() || !arguments->is_string()) continue;
    const std::string& text = arguments->get_ref<const std::string&>();
    if (!has_bounded_shape(text, kMaxConversationDepth, kMaxConversationValues)) continue;
    ordered_json parsed = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_object()) *arguments = std::move(parsed);
  }
}

}  // namespace

absl::StatusOr<ordered_json> prepared_messages(const ordered_json& messages) {
  if (!messages.is_array() || messages.empty()) {
    return absl::InvalidArgumentError("messages must be a list with at least one message");
  }
  ordered_json result = ordered_json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "] must be an object"));
    }
    ordered_json message = with_reasoning(without_nulls(messages[i]));
    if (const auto calls = message.find("tool_calls");
        calls != message.end() && calls->is_array()) {
      for (ordered_json& call : *calls) parse_arguments(call);
    }
    result.push_back(std::move(message));
  }
  return result;
}

absl::Status check_objects(const ordered_json& list, const char* what) {
  if (list.is_null()) return absl::OkStatus();
  if (!list.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " must be a list of objects"));
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(what, "[", i, "] must be an object"));
    }
  }
  return absl::OkStatus();
}

absl::Status ConversationSize::add(const ordered_json& json, int depth) {
  if (depth > kMaxConversationDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("the conversation is nested more than ", kMaxConversationDepth, " deep"));
  }
  ++values_;
  if (json.is_string()) bytes_ += json.get_ref<const std::string&>().size();
  if (values_ > kMaxConversationValues || bytes_ > kMaxConversationBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the conversation has more than ", kMaxConversationBytes, " bytes of text or ",
                     kMaxConversationValues, " values; send less of it"));
  }
  if (!json.is_structured()) return absl::OkStatus();
  for (const auto& [key, value] : json.items()) {
    if (json.is_object()) bytes_ += key.size();
    if (absl::Status status = add(value, depth + 1); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace shoal::model::chat
