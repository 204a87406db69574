// SPDX-License-Identifier: Apache-2.0
// What the reference does with chat templates: tests/fixtures/chat
// (scripts/fixtures/make_chat_templates.py says what the files hold).
#pragma once

#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/template.h"
#include "tests/support/temp_dir.h"

namespace shoal::model::chat {

inline const nlohmann::ordered_json& chat_fixture(const std::string& name) {
  static std::map<std::string, nlohmann::ordered_json> files;
  nlohmann::ordered_json& file = files[name];
  if (file.is_null()) {
    file = nlohmann::ordered_json::parse(tests::read_file(
        std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/chat/" + name));
  }
  return file;
}

inline std::string template_source(const std::string& name) {
  return tests::read_file(std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/chat/templates/" + name +
                          ".jinja");
}

// The clock of the reference.
inline std::tm fixture_time() {
  std::tm time{};
  time.tm_year = 2025 - 1900;
  time.tm_mon = 2;
  time.tm_mday = 9;
  time.tm_hour = 14;
  time.tm_min = 5;
  time.tm_sec = 6;
  time.tm_wday = 0;
  time.tm_yday = 67;
  return time;
}

inline absl::StatusOr<std::vector<Segment>> render_segments(std::string_view source,
                                                            const nlohmann::ordered_json& values,
                                                            const RenderLimits& limits = {}) {
  const absl::StatusOr<Template> parsed = Template::parse(source);
  if (!parsed.ok()) return parsed.status();
  std::vector<Variable> variables;
  std::vector<std::string> names;
  for (const auto& entry : values.items()) names.push_back(entry.key());
  for (const std::string& name : names) variables.push_back({name, &values[name]});
  return parsed->render(variables, fixture_time(), limits);
}

// The text, or "error: " and the message.
inline std::string render(std::string_view source, const nlohmann::ordered_json& values = nlohmann::ordered_json::object(),
                          const RenderLimits& limits = {}) {
  const auto segments = render_segments(source, values, limits);
  if (!segments.ok()) return "error: " + std::string(segments.status().message());
  return joined(*segments);
}

inline std::string fnv1a(std::string_view text) {
  std::uint64_t value = 0xCBF29CE484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  char buffer[20];
  std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(value));
  return buffer;
}

// What the template itself says, behind our words around it.
inline std::string raised_message(const absl::Status& status) {
  const std::string message(status.message());
  const std::string mark = ": the model's template refuses: ";
  const std::size_t at = message.find(mark);
  return at == std::string::npos ? "" : message.substr(at + mark.size());
}

}  // namespace shoal::model::chat
