// SPDX-License-Identifier: Apache-2.0
#include "model/weight_files.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/file_kind.h"
#include "model/json_fields.h"
#include "model/json_text.h"
#include "model/weight_names.h"

namespace shoal::model {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr std::size_t kMaxIndexBytes = 32u << 20;
constexpr std::size_t kFew = 3;

// Whether it is there, or parts of it, and then its header.
absl::Status look_at(WeightFile& file, const std::string& path) {
  absl::StatusOr<OpenWeightFile> opened = open_weight_file(path);
  if (absl::IsNotFound(opened.status())) {
    const std::string part_path = absl::StrCat(path, std::string(kPartSuffix));
    absl::StatusOr<std::optional<PartRecord>> record =
        read_part_record(absl::StrCat(part_path, std::string(kRangesSuffix)));
    if (!record.ok()) return record.status();
    if (!record->has_value()) return absl::OkStatus();  // what nobody vouches for is not there
    opened = open_weight_file(part_path);
    if (absl::IsNotFound(opened.status())) return absl::OkStatus();
    if (!opened.ok()) return opened.status();
    if ((*record)->size != opened->file.size()) {
      return absl::FailedPreconditionError(
          absl::StrCat(part_path, " has ", opened->file.size(), " bytes, and its record speaks of ",
                       (*record)->size, "; remove both, and fetch them again"));
    }
    file.part = *std::move(*record);
  }
  if (!opened.ok()) return opened.status();
  file.held = true;
  file.stamp = opened->file.stamp();
  file.tensors = std::move(opened->tensors);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<WeightFile>> files_of_index(const std::string& text,
                                                       const std::string& where) {
  const absl::StatusOr<nlohmann::json> index = parse_json_object(text, where);
  if (!index.ok()) return index.status();
  const auto map = index->find("weight_map");
  if (map == index->end() || !map->is_object() || map->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": weight_map must be an object that names the file of every tensor"));
  }
  std::map<std::string, WeightFile> files;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": the file of tensor ", json_excerpt(tensor), " is ", json_excerpt(shard),
          "; a file name in the same folder is "
          "expected"));
    }
    WeightFile& file = files[shard.get<std::string>()];
    file.indexed.push_back(canonical_tensor_name(tensor));
  }
  if (files.size() > kMaxWeightFiles) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": more than ", kMaxWeightFiles, " files"));
  }
  std::vector<WeightFile> result;
  for (auto& [name, file] : files) {
    file.name = name;
    result.push_back(std::move(file));
  }
  return result;
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

bool WeightFile::has(const SafetensorsEntry& tensor) const {
  return held && (!part || part->present.contains({tensor.begin, tensor.end}));
}

std::string WeightFiles::path(const WeightFile& file) const {
  return absl::StrCat(directory, "/", file.name,
                      file.part ? std::string(kPartSuffix) : std::string());
}

std::vector<std::string> WeightFile::tensor_names() const {
  if (tensors.empty() && !held) return indexed;
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const auto& [name, entry] : tensors) names.push_back(canonical_tensor_name(name));
  return names;
}

bool WeightFiles::is_whole() const {
  return std::all_of(files.begin(), files.end(),
                     [](const WeightFile& file) { return file.is_whole(); });
}

std::vector<std::string> WeightFiles::held_tensors() const {
  std::vector<std::string> names;
  for (const WeightFile& file : files) {
    if (!file.held) continue;
    for (const auto& [name, entry] : file.tensors) {
      if (file.has(entry)) names.push_back(canonical_tensor_name(name));
    }
  }
  return names;
}

std::string WeightFiles::missing() const {
  std::vector<std::string> names;
  for (const WeightFile& file : files) {
    if (!file.is_whole()) names.push_back(file.name);
  }
  return few_of(names);
}

absl::StatusOr<OpenWeightFile> open_weight_file(const std::string& path) {
  absl::StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<SafetensorsTable> tensors = parse_safetensors({file->data(), file->size()}, path);
  if (!tensors.ok()) {
    const std::string kind = foreign_kind(
        {reinterpret_cast<const char*>(file->data()), std::min(file->size(), std::size_t{512})});
    if (kind.empty()) return tensors.status();
    return absl::InvalidArgumentError(absl::StrCat(path, ": is ", kind));
  }
  return OpenWeightFile{*std::move(file), *std::move(tensors)};
}

absl::StatusOr<WeightFiles> read_weight_files(const std::string& directory) {
  WeightFiles result;
  result.directory = directory;
  const std::string index_path = absl::StrCat(directory, "/", kIndexName);
  WeightFile single;
  single.name = kSingleName;
  if (absl::Status status = look_at(single, result.path(single)); !status.ok()) return status;
  if (single.held) {
    result.where = result.path(single);
    if (::access(index_path.c_str(), F_OK) == 0) {
      result.warnings.push_back(absl::StrCat(directory, " has both ", kSingleName, " and ",
                                             kIndexName, ": the weights are read from ",
                                             kSingleName, ", as in the reference"));
    }
    result.files.push_back(std::move(single));
    return result;
  }
  const absl::StatusOr<std::string> index = read_text_file(index_path, kMaxIndexBytes);
  if (absl::IsNotFound(index.status())) {
    const std::string hint = folder_hint(directory);
    return absl::NotFoundError(
        absl::StrCat("model folder ", directory, " has neither ", kSingleName, " nor ", kIndexName,
                     hint.empty() ? "; weights are expected as safetensors" : hint));
  }
  if (!index.ok()) return index.status();
  result.where = index_path;
  absl::StatusOr<std::vector<WeightFile>> files = files_of_index(*index, index_path);
  if (!files.ok()) return files.status();
  result.files = *std::move(files);
  for (WeightFile& file : result.files) {
    if (absl::Status status = look_at(file, result.path(file)); !status.ok()) return status;
  }
  return result;
}

std::string few_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kFew; ++i) {
    const bool last = i + 1 == names.size();
    absl::StrAppend(&text, i == 0 ? "" : last ? " and " : ", ", absl::CHexEscape(names[i]));
  }
  if (names.size() > kFew) absl::StrAppend(&text, " and ", names.size() - kFew, " more");
  return text;
}

}  // namespace shoal::model
