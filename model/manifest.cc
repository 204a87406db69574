// SPDX-License-Identifier: Apache-2.0
#include "model/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/weight_files.h"

namespace shoal::model {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "shoal model digest 2";
constexpr int kMaxManifestDepth = 8;  // a table has 6; one more in a file
// What the parser builds of a text costs so many times 40 bytes or so: 320,000 tensors.
constexpr std::size_t kMaxValues = 2'600'000;
constexpr std::size_t kMaxFields = 256;
constexpr std::size_t kMaxFieldName = 64;
constexpr std::size_t kMaxFieldValue = 64u << 10;  // windows of thousands of blocks
constexpr std::size_t kMaxTensorName = 1'024;
constexpr std::size_t kMaxTypeName = 16;
constexpr std::size_t kMaxDimensions = 16;

// What is wrong with it; empty: nothing.
std::string fault(const ManifestFile& file) {
  if (!is_plain_file_name(file.name)) return "a file has no plain name";
  for (const auto& [name, entry] : file.tensors) {
    if (name.size() > kMaxTensorName) return "the name of a tensor is too long";
    if (entry.dtype.empty() || entry.dtype.size() > kMaxTypeName) return "a type is no type";
    if (entry.shape.size() > kMaxDimensions) return "a tensor has too many dimensions";
    if (std::any_of(entry.shape.begin(), entry.shape.end(), [](auto n) { return n < 0; })) {
      return "a dimension is below 0";
    }
    if (entry.begin > entry.end || entry.end > file.size) return "a tensor is outside of its file";
  }
  return "";
}

std::string fault(const Manifest& manifest) {
  if (manifest.configuration.empty() || manifest.configuration.size() > kMaxFields) {
    return "no configuration, or one with too many fields";
  }
  for (const auto& [name, value] : manifest.configuration) {
    if (name.size() > kMaxFieldName || value.size() > kMaxFieldValue) {
      return "a field of the configuration is too long";
    }
  }
  if (manifest.files.empty() || manifest.files.size() > kMaxWeightFiles) {
    return "no files, or too many";
  }
  for (std::size_t i = 0; i < manifest.files.size(); ++i) {
    if (i > 0 && manifest.files[i - 1].name >= manifest.files[i].name) {
      return "the files are not in the order of their names";
    }
    if (std::string wrong = fault(manifest.files[i]); !wrong.empty()) return wrong;
  }
  return "";
}

// Reads what may be anything; `good` says whether it was what was asked for.
struct Reading {
  bool good = true;

  const json& member(const json& object, const char* key) {
    static const json none;
    const auto found = object.is_object() ? object.find(key) : object.end();
    good = good && object.is_object() && found != object.end();
    return good ? *found : none;
  }
  std::string text(const json& value) {
    good = good && value.is_string();
    return good ? value.get<std::string>() : std::string();
  }
  std::int64_t number(const json& value) {
    good = good && value.is_number_unsigned() &&
           value.get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
    return good ? value.get<std::int64_t>() : 0;
  }
  SafetensorsEntry tensor(const json& value) {
    SafetensorsEntry entry;
    good = good && value.is_array() && value.size() == 4 && value[1].is_array() &&
           value[1].size() <= kMaxDimensions;
    if (!good) return entry;
    entry.dtype = text(value[0]);
    for (const json& dimension : value[1]) entry.shape.push_back(number(dimension));
    entry.begin = static_cast<std::size_t>(number(value[2]));
    entry.end = static_cast<std::size_t>(number(value[3]));
    return entry;
  }
  ManifestFile file(const json& value) {
    ManifestFile result;
    result.name = text(member(value, "name"));
    result.size = static_cast<std::uint64_t>(number(member(value, "size")));
    const std::optional<Sha256Digest> hash = sha256_from_hex(text(member(value, "sha256")));
    const json& tensors = member(value, "tensors");
    good = good && hash.has_value() && tensors.is_object();
    if (!good) return result;
    result.sha256 = *hash;
    for (const auto& [name, entry] : tensors.items()) result.tensors[name] = tensor(entry);
    return result;
  }
};

json to_json(const ManifestFile& file) {
  json tensors = json::object();
  for (const auto& [name, entry] : file.tensors) {
    tensors[name] = json::array({entry.dtype, entry.shape, entry.begin, entry.end});
  }
  return {{"name", file.name},
          {"sha256", to_hex(file.sha256)},
          {"size", file.size},
          {"tensors", std::move(tensors)}};
}

}  // namespace

const ManifestFile* Manifest::find(std::string_view name) const {
  const auto found = std::lower_bound(
      files.begin(), files.end(), name,
      [](const ManifestFile& file, std::string_view wanted) { return file.name < wanted; });
  return found != files.end() && found->name == name ? &*found : nullptr;
}

absl::StatusOr<std::string> encode_manifest(const Manifest& manifest) {
  if (const std::string wrong = fault(manifest); !wrong.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no manifest can be made of it: ", wrong));
  }
  json files = json::array();
  for (const ManifestFile& file : manifest.files) files.push_back(to_json(file));
  const json object = {
      {"configuration", manifest.configuration}, {"files", std::move(files)}, {"format", kFormat}};
  std::string bytes = object.dump(-1, ' ', false, json::error_handler_t::replace);
  absl::Status fits = check_manifest_text(bytes, kMaxManifestBytes, "the manifest");
  if (!fits.ok()) return fits;
  return bytes;
}

absl::StatusOr<Manifest> manifest_of_json(const json& object, const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", why));
  };
  Reading reading;
  const std::string format = reading.text(reading.member(object, "format"));
  if (!reading.good) return refuse("is no manifest");
  if (format != kFormat) return refuse("is a manifest in another format than ours");
  const json& configuration = reading.member(object, "configuration");
  const json& files = reading.member(object, "files");
  if (!reading.good || object.size() != 3 || !configuration.is_object() || !files.is_array()) {
    return refuse("is no manifest");
  }
  if (files.size() > kMaxWeightFiles || configuration.size() > kMaxFields) {
    return refuse("has too many files or fields");
  }
  Manifest manifest;
  for (const auto& [name, value] : configuration.items()) {
    manifest.configuration[name] = reading.text(value);
  }
  for (const json& file : files) {
    if (!reading.good) break;
    manifest.files.push_back(reading.file(file));
  }
  if (!reading.good) return refuse("a file or field of it is not as in a manifest");
  if (const std::string wrong = fault(manifest); !wrong.empty()) return refuse(wrong);
  return manifest;
}

absl::Status check_manifest_text(std::string_view text, std::size_t max_bytes,
                                 const std::string& where) {
  if (text.size() > max_bytes || !has_bounded_shape(text, kMaxManifestDepth, kMaxValues)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " is larger than a manifest may be, or nested deeper"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Manifest> parse_manifest(std::string_view bytes, const std::string& where) {
  absl::Status fits = check_manifest_text(bytes, kMaxManifestBytes, where);
  if (!fits.ok()) return fits;
  absl::StatusOr<Manifest> manifest =
      manifest_of_json(json::parse(bytes, nullptr, /*allow_exceptions=*/false), where);
  if (!manifest.ok()) return manifest;
  // One manifest, one text: else the same model could have many digests.
  const absl::StatusOr<std::string> again = encode_manifest(*manifest);
  if (!again.ok() || *again != bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is not written as a manifest is written"));
  }
  return manifest;
}

}  // namespace shoal::model
