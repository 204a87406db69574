// SPDX-License-Identifier: Apache-2.0
#include "client/chat/transcript.h"

#include <fmt/format.h>

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

absl::Status no_transcript(const std::string& what) {
  return absl::InvalidArgumentError("this is no talk that /save wrote, nor a list of messages: " +
                                    what);
}

struct Message {
  std::string role, content;
};

absl::StatusOr<Message> message_of(const Json& json, std::size_t number) {
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string();
  };
  if (!text("role") || !text("content")) {
    return no_transcript(fmt::format("message {} has no role or no content that is text", number));
  }
  return Message{json["role"].get<std::string>(), json["content"].get<std::string>()};
}

}  // namespace

Json Transcript::messages() const {
  Json list = Json::array();
  if (!system.empty()) list.push_back({{"role", "system"}, {"content", system}});
  for (const Turn& turn : turns) {
    list.push_back({{"role", "user"}, {"content", turn.user}});
    if (turn.answer) list.push_back({{"role", "assistant"}, {"content", *turn.answer}});
  }
  return list;
}

std::string transcript_text(const Transcript& transcript, const std::string& model) {
  const Json object = {{"model", model}, {"messages", transcript.messages()}};
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Transcript> parse_transcript(std::string_view text) {
  if (text.size() > kMaxTranscriptBytes) {
    return no_transcript(fmt::format("it has more than {} MiB", kMaxTranscriptBytes >> 20));
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const Json* const list =
      json.is_object() && json.contains("messages") ? &json["messages"] : &json;
  if (!list->is_array()) return no_transcript("it is not JSON with a list of messages");
  Transcript transcript;
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto message = message_of((*list)[i], i + 1);
    if (!message.ok()) return message.status();
    std::vector<Turn>& turns = transcript.turns;
    const bool answered = turns.empty() || turns.back().answer.has_value();
    if (message->role == "system" && i == 0) {
      transcript.system = std::move(message->content);
    } else if (message->role == "user" && answered) {
      turns.push_back({std::move(message->content), std::nullopt});
    } else if (message->role == "assistant" && !answered) {
      turns.back().answer = std::move(message->content);
    } else {
      return no_transcript(
          fmt::format("message {} is of \"{}\", out of turn", i + 1, message->role));
    }
  }
  return transcript;
}

}  // namespace shoal::client
