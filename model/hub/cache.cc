// SPDX-License-Identifier: Apache-2.0
#include "model/hub/cache.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/whole_file.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;

absl::Status failed(const std::string& path, const std::error_code& error) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be made: ", error.message(),
                                                    "; HF_HOME names another cache folder"));
}

}  // namespace

absl::Status make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? failed(path, error) : absl::OkStatus();
}

absl::Status replace_link(const std::string& target, const std::string& path) {
  std::error_code error;
  if (fs::read_symlink(path, error) == target && !error) return absl::OkStatus();
  // Beside it and renamed, so that there is always one of the two.
  const std::string made = absl::StrCat(path, ".new");
  fs::remove(made, error);
  fs::create_symlink(target, made, error);
  if (error) return failed(path, error);
  fs::rename(made, path, error);
  return error ? failed(path, error) : absl::OkStatus();
}

std::string Cache::folder(const std::string& repo) const {
  return absl::StrCat(root_, "/models--", absl::StrReplaceAll(repo, {{"/", "--"}}));
}

std::string Cache::snapshot(const std::string& repo, const std::string& commit) const {
  return absl::StrCat(folder(repo), "/snapshots/", commit);
}

std::string Cache::blob(const std::string& repo, const std::string& etag) const {
  return absl::StrCat(folder(repo), "/blobs/", etag);
}

std::string Cache::lock_file(const std::string& repo, const std::string& etag) const {
  return absl::StrCat(root_, "/.locks/models--", absl::StrReplaceAll(repo, {{"/", "--"}}), "/",
                      etag, ".lock");
}

std::string Cache::own_folder(const std::string& repo, const std::string& commit) const {
  return absl::StrCat(folder(repo), "/shoal/", commit);
}

std::optional<std::string> Cache::commit_of(const HubName& name) const {
  if (is_commit(name.revision)) return name.revision;
  std::ifstream file(absl::StrCat(folder(name.repo), "/refs/", name.revision));
  std::string commit;
  std::getline(file, commit);
  commit = std::string(absl::StripAsciiWhitespace(commit));
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

absl::Status Cache::keep_commit(const HubName& name, const std::string& commit) const {
  if (name.revision == commit || commit_of(name) == commit) return absl::OkStatus();
  const std::string path = absl::StrCat(folder(name.repo), "/refs/", name.revision);
  if (auto made = make_folders(fs::path(path).parent_path().string()); !made.ok()) return made;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(commit));
  return write_whole_file(path, {&bytes, 1});
}

bool Cache::has_blob(const std::string& repo, const RemoteFile& file) const {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(blob(repo, file.etag), error);
  return !error && size == file.size;
}

absl::Status Cache::link(const std::string& repo, const std::string& commit,
                         const RemoteFile& file) const {
  const std::string path = absl::StrCat(snapshot(repo, commit), "/", file.path);
  if (auto made = make_folders(fs::path(path).parent_path().string()); !made.ok()) return made;
  std::string up = "../..";  // from snapshots/COMMIT
  for (const char c : file.path) {
    if (c == '/') up += "/..";
  }
  return replace_link(absl::StrCat(up, "/blobs/", file.etag), path);
}

Listing Cache::listing_of_snapshot(const std::string& repo, const std::string& commit) const {
  Listing listing{.commit = commit, .files = {}};
  std::error_code error;
  const std::string root = snapshot(repo, commit);
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    if (!at->is_symlink() || listing.files.size() >= kMaxFiles) continue;
    std::error_code ignored;
    RemoteFile file;
    file.path = at->path().lexically_relative(root).string();
    file.etag = fs::read_symlink(at->path(), ignored).filename().string();
    file.size = fs::file_size(at->path(), ignored);
    if (!ignored && is_etag(file.etag)) listing.files.push_back(std::move(file));
  }
  std::sort(listing.files.begin(), listing.files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return listing;
}

}  // namespace shoal::model::hub
