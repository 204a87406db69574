// SPDX-License-Identifier: Apache-2.0
#include "model/block_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cache_folder.h"
#include "model/cache_room.h"

namespace shoal::model {
namespace {

// Of the disk, left to others: a tenth, but not without end.
constexpr std::uint64_t kMostLeftFree = std::uint64_t{1} << 30;

// A name that we give, or gave while writing: nobody else's file is touched.
bool is_ours(std::string_view name) {
  const bool unfinished = name.starts_with('.');
  if (unfinished) name.remove_prefix(1);
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos || !sha256_from_hex(name.substr(0, dot))) return false;
  name.remove_prefix(dot + 1);
  const std::string_view format = name.substr(0, name.find('.'));
  const std::string_view rest = name.substr(format.size());
  const auto choice = weight_choice_named(format);
  return choice && *choice != WeightChoice::kStored &&
         (unfinished ? rest.size() == 7 : rest.empty());
}

// Somebody has it mapped, or is writing it.
bool is_locked(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  const bool locked = ::flock(file, LOCK_EX | LOCK_NB) != 0;
  ::close(file);  // and unlocked
  return locked;
}

std::vector<CachedFile> list_files(const std::string& directory) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    struct stat info {};
    if (!is_ours(name) || ::lstat(entry->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
      continue;
    }
    const bool locked = is_locked(entry->path().string());
    if (name.starts_with(".") && !locked) {  // whoever wrote it is gone
      ::unlink(entry->path().c_str());
      continue;
    }
    files.push_back(
        {.name = name,
         .bytes = static_cast<std::uint64_t>(info.st_size),
         .used_ns = std::int64_t{info.st_atim.tv_sec} * 1'000'000'000 + info.st_atim.tv_nsec,
         .in_use = locked});
  }
  return files;
}

}  // namespace

absl::StatusOr<CacheOptions> cache_options(const std::string& directory, const std::string& limit) {
  CacheOptions options;
  options.directory = directory.empty()    ? cache_folder("blocks")
                      : directory == "off" ? ""
                                           : directory;
  if (limit == "off") {
    options.limit.reset();
  } else if (!limit.empty()) {
    const absl::StatusOr<base::MemorySize> size = base::parse_memory_size(limit);
    if (!size.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--cache-limit: ", size.status().message(),
                       "; \"off\" sets no limit, and --cache off keeps no cache"));
    }
    options.limit = *size;
  }
  return options;
}

BlockCache::BlockCache(CacheOptions options, FileContents contents)
    : options_(std::move(options)), contents_(std::move(contents)) {
  if (options_.directory.empty()) keeps_ = false;
}

std::string BlockCache::path(const CachedBlock& block, WeightChoice weights) const {
  return absl::StrCat(options_.directory, "/", to_hex(block.key), ".", name_of(weights));
}

void BlockCache::give_up(const std::string& why) {
  if (std::exchange(keeps_, false) && options_.warn) {
    options_.warn(absl::StrCat(why, "; weights that are not kept are packed at each start"));
  }
}

absl::StatusOr<std::vector<std::optional<PackedFile>>> BlockCache::find(
    std::span<const std::optional<CachedBlock>> blocks, WeightChoice weights,
    const FileWork& work) {
  std::vector<std::optional<PackedFile>> found(blocks.size());
  if (options_.directory.empty()) return found;
  make_room(0);  // the limit may be another one by now
  std::vector<absl::Status> statuses(blocks.size());
  std::uint64_t bytes = 0;
  std::vector<std::size_t> here;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (!blocks[i] || ::access(path(*blocks[i], weights).c_str(), F_OK) != 0) continue;
    here.push_back(i);
    bytes += blocks[i]->bytes;
  }
  if (here.empty()) return found;
  absl::Status all =
      work_on_files(here.size(), bytes, work, [&](std::size_t at, const PieceDone& done) {
        const std::size_t i = here[at];
        absl::StatusOr<PackedFile> file =
            PackedFile::open(path(*blocks[i], weights), blocks[i]->key, blocks[i]->bytes, done);
        statuses[i] = file.status();
        if (file.ok()) found[i] = *std::move(file);
        return absl::IsCancelled(statuses[i]) ? statuses[i] : absl::OkStatus();
      });
  if (!all.ok()) return all;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (statuses[i].ok() || absl::IsNotFound(statuses[i])) continue;
    const bool damaged = absl::IsDataLoss(statuses[i]);
    if (options_.warn) {
      options_.warn(absl::StrCat(statuses[i].message(), damaged ? "; it is made anew" : ""));
    }
    if (damaged) ::unlink(path(*blocks[i], weights).c_str());
  }
  return found;
}

bool BlockCache::make_room(std::uint64_t needed) {
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) != 0) return true;  // writing will tell
  const std::uint64_t total = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  CacheRoom room;
  if (options_.limit) room.limit_bytes = options_.limit->of(total);
  room.free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  room.least_free_bytes = std::min(kMostLeftFree, total / 10);
  const auto names = files_to_drop(list_files(options_.directory), room, needed);
  if (names) {
    for (const std::string& name : *names) ::unlink((options_.directory + "/" + name).c_str());
    return true;
  }
  if (needed == 0) return false;
  if (needed + room.least_free_bytes > room.free_bytes) {
    give_up(absl::StrCat("the disk of the cache ", options_.directory, " is full"));
  } else {
    give_up(absl::StrCat("the cache ", options_.directory, " is full: --cache-limit is ",
                         base::memory_text(*room.limit_bytes)));
  }
  return false;
}

std::optional<PackedFile> BlockCache::keep(const CachedBlock& block, WeightChoice weights,
                                           std::span<const std::span<const std::byte>> matrices) {
  if (!keeps_) return std::nullopt;
  std::error_code error;
  std::filesystem::create_directories(options_.directory, error);
  if (error) {
    give_up(absl::StrCat("the cache ", options_.directory, " cannot be made: ", error.message()));
    return std::nullopt;
  }
  if (!make_room(block.bytes)) return std::nullopt;
  const std::string where = path(block, weights);
  absl::Status written = PackedFile::write(where, block.key, matrices);
  if (!written.ok()) {
    give_up(std::string(written.message()));
    return std::nullopt;
  }
  absl::StatusOr<PackedFile> file =
      PackedFile::open(where, block.key, block.bytes, [](std::uint64_t) { return true; });
  if (file.ok()) return *std::move(file);
  // Somebody else may have dropped it already.
  if (!absl::IsNotFound(file.status())) give_up(std::string(file.status().message()));
  return std::nullopt;
}

}  // namespace shoal::model
