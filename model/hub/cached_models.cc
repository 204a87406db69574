// SPDX-License-Identifier: Apache-2.0
#include "model/hub/cached_models.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/hub/listing.h"
#include "model/json_fields.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kDiskBlock = 512;
constexpr std::string_view kFolderPrefix = "models--";

// Without links: what they lead to is counted where it is. Holes take no room.
std::uint64_t disk_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    struct stat info {};
    if (::lstat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes += static_cast<std::uint64_t>(info.st_blocks) * kDiskBlock;
    }
  }
  return bytes;
}

std::vector<std::string> names_in(const std::string& folder, bool folders) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_directory(ignored) == folders) names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string purpose_text(const std::string& label) {
  constexpr std::string_view kBlocks = "blocks-";
  if (!label.starts_with(kBlocks)) return label;
  return absl::StrCat("blocks ", absl::StrReplaceAll(label.substr(kBlocks.size()), {{"-", ":"}}));
}

void look_at_weights(const Cache& cache, const std::string& commit, CachedModel& model) {
  const std::string path = absl::StrCat(cache.own_folder(model.repo, commit), "/files.json");
  Listing listing = cache.listing_of_snapshot(model.repo, commit);
  if (const auto text = read_text_file(path, kMaxListingBytes); text.ok()) {
    if (auto read = parse_listing(*text, path); read.ok()) listing = *std::move(read);
  }
  for (const RemoteFile& file : listing.files) {
    if (!file.path.ends_with(".safetensors")) continue;
    model.weight_bytes += file.size;
    if (cache.has_blob(model.repo, file)) model.whole_bytes += file.size;
  }
}

}  // namespace

std::vector<CachedModel> cached_models(const Cache& cache) {
  std::vector<CachedModel> models;
  for (const std::string& name : names_in(cache.root(), true)) {
    if (!name.starts_with(kFolderPrefix)) continue;
    CachedModel model;
    // The first "--" is the "/": hubs let no name hold two dashes in a row.
    model.repo = absl::StrReplaceAll(name.substr(kFolderPrefix.size()), {{"--", "/"}});
    const std::string folder = cache.folder(model.repo);
    model.disk_bytes = disk_bytes(folder);
    std::set<std::string> commits;
    for (const std::string& ref : names_in(folder + "/refs", false)) {
      model.revisions.push_back(ref);
      if (const auto commit = cache.commit_of({model.repo, ref})) commits.insert(*commit);
    }
    for (const char* where : {"/snapshots", "/shoal"}) {
      for (const std::string& commit : names_in(folder + where, true)) {
        if (is_commit(commit) && commits.insert(commit).second) {
          model.revisions.push_back(commit.substr(0, 12));
        }
      }
    }
    const auto main = cache.commit_of({model.repo, "main"});
    if (main || !commits.empty()) look_at_weights(cache, main ? *main : *commits.begin(), model);
    std::set<std::string> parts;
    for (const std::string& commit : commits) {
      for (const std::string& label : names_in(cache.own_folder(model.repo, commit), true)) {
        if (label != "headers" && label != "whole") parts.insert(purpose_text(label));
      }
    }
    model.parts.assign(parts.begin(), parts.end());
    models.push_back(std::move(model));
  }
  return models;
}

absl::StatusOr<std::uint64_t> remove_cached(const Cache& cache, const std::string& repo) {
  const std::string folder = cache.folder(repo);
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return absl::NotFoundError(
        absl::StrCat(repo, " is not in ", cache.root(), ": \"shoal models\" lists what is"));
  }
  const std::uint64_t bytes = disk_bytes(folder);
  fs::remove_all(folder, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": cannot be removed: ", error.message()));
  }
  fs::remove_all(fs::path(cache.lock_file(repo, "x")).parent_path(), error);
  return bytes;
}

}  // namespace shoal::model::hub
