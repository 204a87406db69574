// SPDX-License-Identifier: Apache-2.0
#include "model/families/family.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::array kFamilies = {&kLlama, &kMistral, &kQwen2, &kQwen3};

std::string supported() {
  std::string text = "supported: ";
  for (const Family* family : kFamilies) {
    absl::StrAppend(&text, family == kFamilies.front() ? "" : ", ",
                    std::string(family->architecture));
  }
  return text;
}

// A name from the file without quotation marks, bounded.
std::string excerpt_of(const std::string& name) {
  const std::string text = json_excerpt(name);
  return text.substr(1, text.size() - (text.back() == '"' ? 2 : 1));
}

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

absl::StatusOr<const Family*> find_family(JsonFields& fields) {
  const std::string model_type = fields.text("model_type", "");
  std::string architecture;
  if (const nlohmann::json* list = fields.find("architectures"); list != nullptr) {
    if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(
          fields.where(), ": architectures must be a list of one name, not ", json_excerpt(*list)));
    }
    architecture = list->front().get<std::string>();
  }
  if (!fields.status().ok()) return fields.status();
  if (architecture.empty() && model_type.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(fields.where(), ": neither architectures nor model_type is there; is this a ",
                     "language model's config.json? (", supported(), ")"));
  }
  for (const Family* family : kFamilies) {
    const bool named = architecture == family->architecture;
    const bool typed = model_type == family->model_type;
    if (named && !typed && !model_type.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(fields.where(), ": architecture ",
                                                     architecture, " and model_type \"", model_type,
                                                     "\" contradict"));
    }
    if (named || (typed && (architecture.empty() || architecture == family->base))) return family;
  }
  return absl::UnimplementedError(
      absl::StrCat(fields.where(), ": architecture ",
                   architecture.empty() ? absl::StrCat("of model_type ", json_excerpt(model_type))
                                        : excerpt_of(architecture),
                   " is not supported (", supported(), ")"));
}

}  // namespace shoal::model
