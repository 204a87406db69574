// SPDX-License-Identifier: Apache-2.0
#include "model/chat/template.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/chat/interpreter.h"
#include "model/chat/json_value.h"
#include "model/chat/parser.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

// Everybody's, also of templates that put whatever role there is into a control token.
constexpr std::string_view kRoles[] = {"system", "user",      "assistant",
                                       "tool",   "developer", "function"};

absl::Status status_of(const TemplateError& error) {
  std::string message = "chat template";
  if (error.place.line > 0) {
    absl::StrAppend(&message, ", line ", error.place.line, ", column ", error.place.column);
  }
  if (error.kind == TemplateError::Kind::kRaised) message += ": the model's template refuses";
  message += ": " + error.message;
  return error.kind == TemplateError::Kind::kExhausted ? absl::ResourceExhaustedError(message)
                                                       : absl::InvalidArgumentError(message);
}

std::vector<Segment> segments_of(const Text& text) {
  std::vector<Segment> segments;
  const auto add = [&](std::size_t begin, std::size_t end, bool control_allowed) {
    if (begin < end) {
      segments.push_back({std::string(text.bytes().substr(begin, end - begin)), control_allowed});
    }
  };
  std::size_t done = 0;
  for (const ByteRange& range : text.untrusted()) {
    add(done, range.begin, true);
    add(range.begin, range.end, false);
    done = range.end;
  }
  add(done, text.bytes().size(), true);
  return segments;
}

}  // namespace

class Template::Impl {
 public:
  explicit Impl(Tree tree) : tree_(std::move(tree)) {}

  std::vector<Segment> render(const std::vector<Variable>& variables, const std::tm& now,
                              const RenderLimits& limits) const {
    Budget budget(limits);
    const auto is_named = [this](std::string_view role) {
      return std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles) ||
             std::binary_search(tree_.literals.begin(), tree_.literals.end(), role);
    };
    Interpreter interpreter(tree_, budget, now);
    for (const Variable& variable : variables) {
      interpreter.set_variable(variable.name,
                               value_of(*variable.value, variable.trusted, is_named, budget));
    }
    return segments_of(interpreter.render());
  }

 private:
  Tree tree_;
};

Template::Template(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

std::string joined(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

absl::StatusOr<Template> Template::parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a chat template of ", source.size(),
                                                   " bytes: at most ", kMaxTemplateBytes,
                                                   " are read; is this file one?"));
  }
  if (!is_utf8(source)) return absl::InvalidArgumentError("the chat template is not UTF-8");
  try {
    return Template(std::make_unique<const Impl>(parse_template(source)));
  } catch (const TemplateError& error) {
    return status_of(error);
  }
}

absl::StatusOr<std::vector<Segment>> Template::render(const std::vector<Variable>& variables,
                                                      const std::tm& now,
                                                      const RenderLimits& limits) const {
  try {
    return impl_->render(variables, now, limits);
  } catch (const TemplateError& error) {
    return status_of(error);
  }
}

}  // namespace shoal::model::chat
