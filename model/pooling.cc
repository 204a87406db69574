// SPDX-License-Identifier: Apache-2.0
#include "model/pooling.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/json_text.h"

namespace shoal::model {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxPoolingBytes = 1u << 20;
constexpr std::size_t kMaxModules = 16;
constexpr std::int64_t kMaxBeginning = 1 << 20;

struct Mode {
  const char* flag;  // of its own, as most folders have it
  const char* name;  // of "pooling_mode"
  std::optional<Pooling::Rows> rows;
};
const std::array kModes = {
    Mode{"pooling_mode_mean_tokens", "mean", Pooling::Rows::kMean},
    Mode{"pooling_mode_cls_token", "cls", Pooling::Rows::kFirst},
    Mode{"pooling_mode_lasttoken", "lasttoken", Pooling::Rows::kLast},
    Mode{"pooling_mode_max_tokens", "max", std::nullopt},
    Mode{"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", std::nullopt},
    Mode{"pooling_mode_weightedmean_tokens", "weightedmean", std::nullopt},
};

absl::Status refuse(const std::string& path, const std::string& what) {
  return absl::UnimplementedError(
      absl::StrCat(path, ": ", what,
                   " is not supported: mean, cls and lasttoken are, and Normalize behind them"));
}

absl::StatusOr<Pooling::Rows> read_rows(const std::string& path) {
  const auto text = read_text_file(path, kMaxPoolingBytes);
  if (!text.ok()) return text.status();
  const auto object = parse_json_object(*text, path);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, path);
  const std::string named = fields.text("pooling_mode", "");
  std::vector<const Mode*> chosen;
  for (const Mode& mode : kModes) {
    if (fields.boolean(mode.flag, false) || named == mode.name) chosen.push_back(&mode);
  }
  if (!fields.status().ok()) return fields.status();
  if (chosen.empty()) return refuse(path, absl::StrCat("the pooling \"", named, "\""));
  if (chosen.size() > 1) return refuse(path, "more than one pooling");
  if (!chosen.front()->rows) return refuse(path, chosen.front()->name);
  return *chosen.front()->rows;
}

// What config.json says of shorter vectors; it has been read as a model's before.
absl::Status read_beginnings(const std::string& directory, Pooling& pooling) {
  const std::string path = directory + "/config.json";
  const auto text = read_text_file(path, kMaxPoolingBytes);
  if (!text.ok()) return text.status();
  const auto object = parse_json_object(*text, path);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, path);
  pooling.any_beginning = fields.boolean("is_matryoshka", false);
  if (const json* list = fields.find("matryoshka_dimensions"); list != nullptr) {
    const bool good = list->is_array() && std::ranges::all_of(*list, [](const json& one) {
                        return one.is_number_integer() && one > 0 && one <= kMaxBeginning;
                      });
    if (!good) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": matryoshka_dimensions is no list of whole numbers above 0"));
    }
    pooling.beginnings = list->get<std::vector<std::int64_t>>();
  }
  return fields.status();
}

// The last part of "sentence_transformers.models.Pooling".
std::string kind_of(const json& module) {
  if (!module.is_object() || !module.contains("type") || !module["type"].is_string()) return "?";
  const std::string type = module["type"].get<std::string>();
  return type.substr(type.rfind('.') + 1);
}

}  // namespace

bool Pooling::may_shorten_to(std::int64_t dimensions) const {
  return beginnings.empty() ? any_beginning
                            : std::ranges::find(beginnings, dimensions) != beginnings.end();
}

absl::StatusOr<Pooling> load_pooling(const std::string& directory) {
  const std::string path = directory + "/modules.json";
  const auto text = read_text_file(path, kMaxPoolingBytes);
  if (!text.ok()) return text.status();
  const auto object = parse_json_object(absl::StrCat("{\"modules\":", *text, "}"), path);
  if (!object.ok()) return object.status();
  const json& modules = (*object)["modules"];
  if (!modules.is_array() || modules.size() < 2 || modules.size() > kMaxModules ||
      kind_of(modules[0]) != "Transformer" || kind_of(modules[1]) != "Pooling") {
    return refuse(path, "other than a Transformer and then Pooling");
  }
  // Its folder lies beside: no way out of this one.
  const std::string folder = modules[1].value("path", json("1_Pooling")).is_string()
                                 ? modules[1].value("path", std::string("1_Pooling"))
                                 : "";
  if (folder.empty() || folder.find('/') != std::string::npos || folder.starts_with('.')) {
    return refuse(path, "a Pooling whose path is no folder beside it");
  }
  Pooling pooling;
  const auto rows = read_rows(absl::StrCat(directory, "/", folder, "/config.json"));
  if (absl::IsNotFound(rows.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " names ", folder, "/config.json, which is not there"));
  }
  if (!rows.ok()) return rows.status();
  pooling.rows = *rows;
  for (std::size_t i = 2; i < modules.size(); ++i) {
    if (kind_of(modules[i]) != "Normalize") return refuse(path, kind_of(modules[i]));
    pooling.normalize = true;
  }
  if (auto status = read_beginnings(directory, pooling); !status.ok()) return status;
  return pooling;
}

}  // namespace shoal::model
