// SPDX-License-Identifier: Apache-2.0
// A chat template and, behind a NUL, JSON: an object with the names that the template sees, or a
// list of messages. Whatever they say, parsing and rendering ends in a Status or in segments of
// valid UTF-8, none empty and no two alike in a row, and does so twice in the same way.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/check.h"
#include "model/chat/chat_template.h"
#include "model/tokenizer/utf8.h"

using nlohmann::ordered_json;
using shoal::model::is_utf8;
using shoal::model::chat::ChatTemplate;
using shoal::model::chat::Conversation;
using shoal::model::chat::RenderLimits;
using shoal::model::chat::Segment;
using shoal::model::chat::Template;
using shoal::model::chat::Variable;

namespace {

RenderLimits small_limits() {
  RenderLimits limits;
  limits.steps = 100'000;
  limits.memory_bytes = 16u << 20;
  limits.output_bytes = 1u << 20;
  return limits;
}

void check(const absl::StatusOr<std::vector<Segment>>& segments,
           const absl::StatusOr<std::vector<Segment>>& again) {
  CHECK(segments.ok() == again.ok());
  if (!segments.ok()) {
    const std::string message(segments.status().message());
    CHECK(is_utf8(message) && message == std::string(again.status().message()));
    return;
  }
  CHECK(joined(*segments) == joined(*again));
  const Segment* before = nullptr;
  for (const Segment& segment : *segments) {
    CHECK(!segment.text.empty() && is_utf8(segment.text));
    CHECK(before == nullptr || before->control_allowed != segment.control_allowed);
    before = &segment;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string source = input.substr(0, end);
  const auto parsed = Template::parse(source);
  if (!parsed.ok()) {
    CHECK(is_utf8(std::string(parsed.status().message())));
    return 0;
  }
  const std::string text = input.substr(std::min(end + 1, input.size()));
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_array()) {
    auto subject = ChatTemplate::parse(source, {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    CHECK(subject.ok());
    Conversation conversation;
    conversation.messages = json;
    conversation.add_generation_prompt = true;
    check(subject->render(conversation, small_limits()),
          subject->render(conversation, small_limits()));
    return 0;
  }
  std::vector<Variable> variables;
  std::vector<std::string> names;
  if (json.is_object()) {
    for (const auto& entry : json.items()) names.push_back(entry.key());
  }
  for (const std::string& name : names) variables.push_back({name, &json[name], false});
  check(parsed->render(variables, {}, small_limits()),
        parsed->render(variables, {}, small_limits()));
  return 0;
}
