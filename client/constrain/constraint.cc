// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/constraint.h"

#include <fmt/format.h>

#include <utility>

#include "client/constrain/json_grammar.h"
#include "client/constrain/limits.h"
#include "client/constrain/regex.h"
#include "client/constrain/schema.h"
#include "model/tokenizer/utf8.h"

namespace shoal::client::constrain {
namespace {

using Json = nlohmann::ordered_json;

class FormWriter {
 public:
  FormWriter(GrammarBuilder& builder, NodeId from)
      : builder_(builder), json_(builder), from_(from) {}

  NodeId operator()(const RegexForm& form) {
    auto parsed = parse_regex(form.pattern);
    if (!parsed.ok()) {
      builder_.fail(parsed.status());
      return from_;
    }
    return add_regex(builder_, from_, whole_match(*std::move(parsed)), write_utf8);
  }

  NodeId operator()(const ChoiceForm& form) {
    std::size_t bytes = 0;
    for (const std::string& text : form.texts) bytes += text.size();
    if (form.texts.empty() || form.texts.size() > kMaxChoices || bytes > kMaxChoiceBytes) {
      builder_.fail(absl::InvalidArgumentError(
          fmt::format("expected 1 to {} texts to choose from, of at most {} KiB", kMaxChoices,
                      kMaxChoiceBytes >> 10)));
      return from_;
    }
    const NodeId to = builder_.node();
    for (const std::string& text : form.texts) {
      if (!model::is_utf8(text)) {
        builder_.fail(absl::InvalidArgumentError("a text to choose is not UTF-8"));
      }
      builder_.empty(builder_.text(from_, text), to);
    }
    return to;
  }

  NodeId operator()(const JsonForm& form) {
    return add_schema(builder_, json_, from_, form.schema);
  }

  NodeId operator()(const CallForm& form) {
    const NodeId first = builder_.node(), behind = builder_.node();
    builder_.empty(builder_.text(from_, form.begin), first);
    for (const auto& [name, schema] : form.functions) {
      NodeId at = builder_.text(first, form.before + name + form.middle);
      at = add_schema(builder_, json_, at, schema);
      if (!builder_.status().ok()) {
        // Which of the functions it is, the schema cannot say.
        const absl::Status status(builder_.status().code(),
                                  fmt::format("the parameters of {}: {}", name,
                                              std::string(builder_.status().message())));
        builder_ = GrammarBuilder();
        builder_.fail(status);
        return from_;
      }
      builder_.empty(builder_.text(at, form.after), behind);
    }
    if (form.several) builder_.empty(builder_.text(behind, form.between), first);
    return builder_.text(behind, form.end);
  }

 private:
  GrammarBuilder& builder_;
  JsonGrammar json_;
  const NodeId from_;
};

}  // namespace

absl::StatusOr<Grammar> grammar_of(const std::vector<Form>& forms) {
  GrammarBuilder builder;
  const Rule start = builder.rule();
  for (const Form& form : forms) {
    builder.empty(std::visit(FormWriter(builder, start.entry), form), start.end);
  }
  return std::move(builder).build(start);
}

std::string key_of(const std::vector<Form>& forms) {
  Json key = Json::array();
  for (const Form& form : forms) {
    if (const auto* regex = std::get_if<RegexForm>(&form)) {
      key.push_back({"regex", regex->pattern});
    } else if (const auto* choice = std::get_if<ChoiceForm>(&form)) {
      key.push_back({"choice", choice->texts});
    } else if (const auto* json = std::get_if<JsonForm>(&form)) {
      key.push_back(Json::array({"json", json->schema}));
    } else {
      const auto& calls = std::get<CallForm>(form);
      Json functions = Json::array();
      for (const auto& [name, schema] : calls.functions) {
        functions.push_back(Json::array({name, schema}));
      }
      key.push_back(Json::array({"calls", calls.begin, calls.before, calls.middle, calls.after,
                                 calls.between, calls.end, functions, calls.several}));
    }
  }
  return key.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal::client::constrain
