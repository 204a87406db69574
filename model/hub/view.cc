// SPDX-License-Identifier: Apache-2.0
#include "model/hub/view.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/json_fields.h"
#include "model/manifest_file.h"
#include "model/part_record.h"
#include "model/weight_names.h"
#include "model/whole_file.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = ".shoal-complete";
constexpr std::size_t kMaxMarkerBytes = 8u << 20;
constexpr std::uint64_t kWorthPercent = 90;
constexpr std::string_view kTemplates = "chat_templates/";
constexpr std::size_t kMaxTemplates = 64;  // more are not loaded (model/chat/chat_template.cc)

}  // namespace

Purpose whole_model() { return {.label = "whole", .whole = true}; }
Purpose model_ends() { return {.label = "ends", .wanted = wants_ends()}; }
Purpose model_blocks(std::int64_t begin, std::int64_t end) {
  return {.label = absl::StrCat("blocks-", begin, "-", end), .wanted = wants_blocks(begin, end)};
}
Purpose model_headers() { return {.label = "headers"}; }

std::vector<std::string> text_files(const Listing& listing) {
  std::vector<std::string> names = {
      "config.json",           "generation_config.json",  "tokenizer.json",
      "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
      "chat_template.jinja",   "chat_template.json",      kIndexName};
  std::size_t templates = 0;
  for (const RemoteFile& file : listing.files) {
    const std::string_view path = file.path;
    const bool is_template = path.starts_with(kTemplates) && path.ends_with(".jinja") &&
                             path.find('/', kTemplates.size()) == std::string_view::npos;
    if (is_template && ++templates <= kMaxTemplates) names.push_back(file.path);
  }
  return names;
}

ByteRanges ranges_of(const WeightFile& file, const Wanted& wanted) {
  std::vector<ByteRange> ranges;
  std::uint64_t header_end = file.part ? file.part->size : file.stamp.size;
  for (const auto& [name, entry] : file.tensors) {
    header_end = std::min<std::uint64_t>(header_end, entry.begin);
    if (wanted && wanted(canonical_tensor_name(name))) ranges.push_back({entry.begin, entry.end});
  }
  if (!ranges.empty()) ranges.push_back({0, header_end});
  return ByteRanges(std::move(ranges));
}

bool is_worth_all(const ByteRanges& wanted, std::uint64_t size) {
  return wanted.bytes() >= size / 100 * kWorthPercent;
}

View::View(const Cache& cache, const std::string& repo, const std::string& commit,
           const std::string& label)
    : folder_(absl::StrCat(cache.own_folder(repo, commit), "/", label)) {}

std::string View::part_path(const std::string& file) const {
  return absl::StrCat(folder_, "/", file, std::string(kPartSuffix));
}

bool View::is_complete() const {
  const auto names = read_text_file(absl::StrCat(folder_, "/", kMarker), kMaxMarkerBytes);
  if (!names.ok()) return false;
  for (const absl::string_view name : absl::StrSplit(*names, '\n', absl::SkipEmpty())) {
    std::error_code error;
    if (!fs::exists(fs::path(folder_) / std::string(name), error)) return false;
  }
  return true;
}

absl::Status View::begin() const {
  std::error_code ignored;
  fs::remove(fs::path(folder_) / kMarker, ignored);
  return make_folders(folder_);
}

absl::Status View::link(const RemoteFile& file) const {
  const std::string path = absl::StrCat(folder_, "/", file.path);
  std::string up = "../../..";
  if (file.path.find('/') != std::string::npos) {
    if (absl::Status made = make_folders(fs::path(path).parent_path().string()); !made.ok()) {
      return made;
    }
    for (const char c : file.path) up += c == '/' ? "/.." : "";
  }
  if (absl::Status linked = replace_link(absl::StrCat(up, "/blobs/", file.etag), path);
      !linked.ok()) {
    return linked;
  }
  std::error_code ignored;
  fs::remove(absl::StrCat(part_path(file.path), std::string(kRangesSuffix)), ignored);
  fs::remove(part_path(file.path), ignored);
  return absl::OkStatus();
}

absl::Status View::link_manifest(const std::string& label) const {
  std::error_code ignored;
  const fs::path there = fs::path(folder_).parent_path() / label / kManifestName;
  if (!fs::exists(there, ignored)) return absl::OkStatus();
  return replace_link(absl::StrCat("../", label, "/", kManifestName),
                      absl::StrCat(folder_, "/", kManifestName));
}

absl::Status View::complete() const {
  std::string text;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    // The manifest may be made anew, and is not missed.
    const std::string name = at->path().filename().string();
    if (name != kManifestName && !name.starts_with('.')) absl::StrAppend(&text, name, "\n");
  }
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return write_whole_file(absl::StrCat(folder_, "/", kMarker), {&bytes, 1});
}

}  // namespace shoal::model::hub
