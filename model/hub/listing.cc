// SPDX-License-Identifier: Apache-2.0
#include "model/hub/listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/hub/name.h"
#include "model/json_fields.h"
#include "model/json_text.h"

namespace shoal::model::hub {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxValues = 2'000'000;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 44;  // 16 TiB

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t size_of(const json& object) {
  const auto found = object.find("size");
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>()
                                                              : kMaxFileBytes + 1;
}

RemoteFile file_of(const json& entry) {
  RemoteFile file;
  file.path = text_of(entry, "rfilename");
  file.size = size_of(entry);
  file.etag = text_of(entry, "blobId");
  const auto lfs = entry.find("lfs");
  if (lfs != entry.end() && lfs->is_object()) {
    file.etag = text_of(*lfs, "sha256");
    if (lfs->contains("size")) file.size = size_of(*lfs);
  }
  return file;
}

}  // namespace

const RemoteFile* Listing::find(std::string_view path) const {
  const auto found =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const RemoteFile& file, std::string_view p) { return file.path < p; });
  return found != files.end() && found->path == path ? &*found : nullptr;
}

bool is_safe_path(std::string_view path) {
  constexpr std::size_t kMaxBytes = 1024, kMaxPart = 240, kMaxParts = 16;
  if (path.empty() || path.size() > kMaxBytes) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127 || c == '\\') return false;
  }
  std::size_t parts = 0;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    if (++parts > kMaxParts) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_etag(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

absl::StatusOr<Listing> parse_listing(const std::string& text, const std::string& where) {
  if (text.size() > kMaxListingBytes || !has_bounded_shape(text, kMaxJsonTextDepth, kMaxValues)) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": is too long for a list of files"));
  }
  const absl::StatusOr<json> object = parse_json_object(text, where);
  if (!object.ok()) return object.status();
  Listing listing;
  listing.commit = text_of(*object, "sha");
  const auto siblings = object->find("siblings");
  if (!is_commit(listing.commit) || siblings == object->end() || !siblings->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is no list of a model's files (no \"sha\" and \"siblings\")"));
  }
  if (siblings->size() > kMaxFiles) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": lists ", siblings->size(), " files, more than ", kMaxFiles));
  }
  for (const json& entry : *siblings) {
    if (!entry.is_object()) continue;
    RemoteFile file = file_of(entry);
    if (!is_safe_path(file.path) || !is_etag(file.etag) || file.size > kMaxFileBytes) continue;
    listing.files.push_back(std::move(file));
  }
  std::sort(listing.files.begin(), listing.files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  const auto same =
      std::adjacent_find(listing.files.begin(), listing.files.end(),
                         [](const RemoteFile& a, const RemoteFile& b) { return a.path == b.path; });
  if (same != listing.files.end()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": lists ", same->path, " twice"));
  }
  return listing;
}

std::string listing_text(const Listing& listing) {
  json siblings = json::array();
  for (const RemoteFile& file : listing.files) {
    json entry = {{"rfilename", file.path}, {"size", file.size}};
    if (file.has_sha256()) {
      entry["lfs"] = {{"sha256", file.etag}, {"size", file.size}};
    } else {
      entry["blobId"] = file.etag;
    }
    siblings.push_back(std::move(entry));
  }
  const json object = {{"sha", listing.commit}, {"siblings", std::move(siblings)}};
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace shoal::model::hub
