// SPDX-License-Identifier: Apache-2.0
#include "client/cli/companion_folder.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "model/cache_folder.h"
#include "model/json_fields.h"
#include "model/sha256.h"

namespace shoal::client {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNew = ".new-";
constexpr std::size_t kMostKept = 16;  // sets of files, of a few MB each

// Names the files too: nodes may agree on others another day.
absl::StatusOr<std::string> kept_name(const proto::Digest& model,
                                      const proto::CompanionList& files) {
  std::string text = proto::to_string(model) + "\n";
  for (const proto::Companion& file : files) {
    text += fmt::format("{} {} {}\n", file.name, file.size, proto::to_string(file.sha256));
  }
  const auto sha256 = model::sha256(text);
  if (!sha256.ok()) return sha256.status();
  return model::to_hex(*sha256);
}

// Another file there would be read as part of the model.
bool holds_exactly(const std::string& folder, const proto::CompanionList& files) {
  std::set<std::string> missing;
  for (const proto::Companion& file : files) missing.insert(file.name);
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = fs::relative(at->path(), folder, error).string();
    if (name != proto::kTemplateFolder && missing.erase(name) == 0) return false;
  }
  if (error || !missing.empty()) return false;
  return std::ranges::all_of(files, [&](const proto::Companion& file) {
    const auto bytes = model::read_text_file(folder + "/" + file.name, file.size);
    if (!bytes.ok() || bytes->size() != file.size) return false;
    const auto sha256 = model::sha256(*bytes);
    return sha256.ok() && *sha256 == file.sha256.bytes;
  });
}

absl::Status write_files(const std::string& folder, const proto::CompanionList& files,
                         const std::vector<std::string>& bytes) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const fs::path path = fs::path(folder) / files[i].name;
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    std::ofstream file(path, std::ios::binary);
    file.write(bytes[i].data(), static_cast<std::streamsize>(bytes[i].size()));
    file.close();
    if (!file) {
      return absl::FailedPreconditionError(
          fmt::format("{} cannot be written: {}", path.string(), std::strerror(errno)));
    }
  }
  return absl::OkStatus();
}

// A new private folder; nullopt: none can be made there.
std::optional<std::string> new_private_folder(const std::string& beginning) {
  std::string path = beginning + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return std::nullopt;
  return path;
}

void remove_folder(const std::string& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

// What was not used for longest goes, and what a program that was killed left behind.
void tidy(const std::string& cache) {
  std::vector<std::pair<fs::file_time_type, fs::path>> folders;
  std::error_code error;
  for (fs::directory_iterator at(cache, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    const auto used = fs::last_write_time(at->path(), ignored);
    if (!at->path().filename().string().starts_with(kNew)) {
      folders.emplace_back(used, at->path());
    } else if (used < fs::file_time_type::clock::now() - std::chrono::hours(1)) {
      fs::remove_all(at->path(), ignored);
    }
  }
  std::ranges::sort(folders, std::greater());
  for (std::size_t i = kMostKept; i < folders.size(); ++i) {
    fs::remove_all(folders[i].second, error);
  }
}

}  // namespace

CompanionFolder::~CompanionFolder() {
  if (temporary_) remove_folder(path_);
}

absl::StatusOr<std::unique_ptr<CompanionFolder>> CompanionFolder::open(
    const proto::Digest& model, const proto::CompanionList& files, const Fetch& fetch,
    const Check& check) {
  const auto opened = [](std::string path, bool temporary) {
    return std::unique_ptr<CompanionFolder>(new CompanionFolder(std::move(path), temporary));
  };
  const auto name = kept_name(model, files);
  if (!name.ok()) return name.status();
  const std::string cache = model::cache_folder("companions");
  const std::string kept = cache + "/" + *name;
  std::error_code ignored;
  if (!cache.empty() && holds_exactly(kept, files)) {
    fs::last_write_time(kept, fs::file_time_type::clock::now(), ignored);
    return opened(kept, false);
  }

  const auto bytes = fetch(files);
  if (!bytes.ok()) return bytes.status();
  if (!cache.empty()) fs::create_directories(cache, ignored);
  // Beside its place; from there it gets it whole or not at all.
  std::optional<std::string> made;
  if (!cache.empty()) made = new_private_folder(cache + "/" + kNew);
  if (made && !write_files(*made, files, *bytes).ok()) {  // the disk is full
    remove_folder(*made);
    made.reset();
  }
  const bool in_cache = made.has_value();
  if (!made) {
    const fs::path temporary = fs::temp_directory_path(ignored);
    made = new_private_folder((temporary.empty() ? "/tmp" : temporary.string()) + "/shoal-");
    if (!made) {
      return absl::FailedPreconditionError(
          fmt::format("the model's small files have no place: neither {} nor {} can be written; "
                      "set TMPDIR to a folder that can",
                      cache.empty() ? "a cache folder" : cache, temporary.string()));
    }
  }
  auto folder = opened(*made, true);
  if (!in_cache) {
    if (absl::Status written = write_files(*made, files, *bytes); !written.ok()) return written;
  }
  if (absl::Status good = check(*made); !good.ok()) return good;
  if (!in_cache) return folder;
  std::error_code error;
  fs::rename(*made, kept, error);
  if (error) {  // another program was faster, or what lay there is damaged
    if (holds_exactly(kept, files)) return opened(kept, false);
    remove_folder(kept);
    fs::rename(*made, kept, error);
  }
  if (error) return folder;
  tidy(cache);
  return opened(kept, false);  // the temporary name is nobody's any more
}

}  // namespace shoal::client
