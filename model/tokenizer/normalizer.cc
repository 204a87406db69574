// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/normalizer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size());
  std::size_t at = 0;
  for (std::size_t hit; (hit = text.find(from, at)) != std::string_view::npos;) {
    result.append(text.substr(at, hit - at));
    result.append(to);
    at = hit + from.size();
  }
  result.append(text.substr(at));
  return result;
}

Normalizer Normalizer::parse(const Json& value, const std::string& place, absl::Status* status) {
  Normalizer normalizer;
  if (!value.is_null()) normalizer.add(value, place, 0, status);
  return normalizer;
}

void Normalizer::add(const Json& value, const std::string& place, int depth, absl::Status* status) {
  ObjectReader reader(value, place, status);
  const std::string type = reader.text("type");
  if (type == "Sequence") {
    for_each_part(reader, "normalizers", depth, [&](const Json& part, const std::string& at) {
      add(part, at, depth + 1, status);
    });
  } else if (type == "NFC") {
    steps_.push_back({Kind::kNfc, "", "", nullptr});
  } else if (type == "Prepend") {
    steps_.push_back({Kind::kPrepend, "", reader.text("prepend"), nullptr});
  } else if (type == "Replace") {
    const PatternText pattern = read_pattern(reader, "pattern");
    Step step{Kind::kReplace, pattern.text, reader.text("content"), nullptr};
    if (pattern.is_regex && reader.ok()) {
      auto regex = Regex::compile(pattern.text);
      if (!regex.ok()) return reader.refuse(absl::StrCat("is refused: ", regex.status().message()));
      step.regex = std::make_shared<const Regex>(*std::move(regex));
    }
    steps_.push_back(std::move(step));
  } else if (reader.ok()) {
    return reader.refuse(absl::StrCat(
        "is a ", in_quotes(type), " normalizer; supported are NFC, Prepend, Replace, Sequence"));
  }
  reader.done();
}

bool Normalizer::moves_start() const {
  for (const Step& step : steps_) {
    std::size_t first = 0;
    if (step.kind == Kind::kReplace && step.regex == nullptr && !step.content.empty()) {
      next_code(step.pattern, &first);
      if (first == step.pattern.size()) continue;
    }
    if (step.kind != Kind::kNfc) return true;
  }
  return false;
}

absl::Status Normalizer::apply(std::string* text) const {
  for (const Step& step : steps_) {
    if (step.kind == Kind::kNfc) {
      *text = to_nfc(*text);
    } else if (step.kind == Kind::kPrepend) {
      if (!text->empty()) text->insert(0, step.content);
    } else if (step.regex == nullptr) {
      *text = replace_all(*text, step.pattern, step.content);
    } else {
      std::vector<Range> matches;
      if (absl::Status status = step.regex->find_all(*text, &matches); !status.ok()) return status;
      std::string result;
      std::size_t at = 0;
      for (const auto& [begin, end] : matches) {
        result.append(*text, at, begin - at);
        result.append(step.content);
        at = end;
      }
      result.append(*text, at);
      *text = std::move(result);
    }
  }
  return absl::OkStatus();
}

}  // namespace shoal::model
