// SPDX-License-Identifier: Apache-2.0
// A Jinja template as chat models have them, in a sandbox: it sees what it is given, and time,
// memory and output are bounded. The language is that of Jinja 3.1 as the reference sets it up
// (docs/chat-templates.md says where it is not). Immutable, may be shared by threads.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/chat/budget.h"

namespace shoal::model::chat {

inline constexpr std::size_t kMaxTemplateBytes = 4u << 20;  // real ones have up to 20 KiB

// A part of a rendered conversation. Where control_allowed, the text is the template's own, and a
// control token's spelling in it is that token. Where not, it came from the conversation, and a
// spelling is text. No segment is empty, and neighbours differ.
struct Segment {
  std::string text;
  bool control_allowed = false;
};

std::string joined(const std::vector<Segment>& segments);

// A name that the template finds, and who wrote the texts in it: the model's folder, or strangers.
struct Variable {
  std::string_view name;
  const nlohmann::ordered_json* value;
  bool trusted = false;
};

class Template {
 public:
  // INVALID_ARGUMENT with line and column.
  static absl::StatusOr<Template> parse(std::string_view source);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // INVALID_ARGUMENT where the template raises an exception, or does what the language does not
  // allow, with line and column; RESOURCE_EXHAUSTED beyond the limits. `now` is local time. Texts
  // that the template names word for word, like a role, are trusted as values of the key "role".
  absl::StatusOr<std::vector<Segment>> render(const std::vector<Variable>& variables,
                                              const std::tm& now,
                                              const RenderLimits& limits = {}) const;

 private:
  class Impl;
  explicit Template(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace shoal::model::chat
