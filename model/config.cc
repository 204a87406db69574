// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "model/families/family.h"
#include "model/file_kind.h"
#include "model/json_fields.h"
#include "model/json_text.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxConfigBytes = 16u << 20;

absl::StatusOr<ModelConfig> parse(const std::string& text, const std::string& where) {
  const absl::StatusOr<nlohmann::json> object = parse_json_object(text, where);
  if (!object.ok()) return object.status();
  JsonFields fields(*object, where);
  const absl::StatusOr<const Family*> family = find_family(fields);
  if (!family.ok()) return family.status();
  ModelConfig config;
  config.architecture = std::string((*family)->architecture);
  (*family)->read(fields, config);
  if (!fields.status().ok()) return fields.status();
  CHECK(static_cast<std::int64_t>(config.block_kinds.size()) == config.block_count)
      << config.architecture << ": " << config.block_kinds.size() << " blocks of "
      << config.block_count;
  // What keeps rows and pages has one shape for all blocks of a model.
  for (const BlockSpec& kind : config.kinds) {
    CHECK(widths_of(kind) == widths_of(config.kinds.front())) << config.architecture;
  }
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> parse_config(const std::string& json_text) {
  return parse(json_text, "config.json");
}

absl::StatusOr<ModelConfig> load_config(const std::string& directory) {
  constexpr const char* kExpected =
      "; a folder with config.json, *.safetensors and tokenizer.json is expected";
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("model folder ", directory, " cannot be found", kExpected));
  }
  if (!S_ISDIR(info.st_mode)) {
    const std::string kind = foreign_file(directory);
    return absl::InvalidArgumentError(absl::StrCat("model ", directory, " is not a folder",
                                                   kind.empty() ? kExpected : ", but " + kind));
  }
  const std::string path = directory + "/config.json";
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxConfigBytes);
  if (!text.ok()) {
    const std::string hint = absl::IsNotFound(text.status()) ? folder_hint(directory) : "";
    return absl::Status(text.status().code(),
                        absl::StrCat(text.status().message(), hint.empty() ? kExpected : hint));
  }
  return parse(*text, path);
}

}  // namespace shoal::model
