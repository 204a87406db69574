// SPDX-License-Identifier: Apache-2.0
#include "base/memory_ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "base/control_groups.h"

namespace shoal::base {
namespace {

constexpr const char* kFirstLine = "shoal-memory 1";
constexpr const char* kTurnFile = "turn";
constexpr std::string_view kEntryEnd = ".claim";
// A node has a few devices and a few groups above it.
constexpr std::size_t kMaxEntryBytes = 16 << 10;
constexpr std::size_t kMaxLines = 256;
// More than fit on any machine: a folder full of rubbish must not hold a node up.
constexpr std::size_t kMaxEntries = 1024;
// 2^53: sums of as many entries do not wrap.
constexpr std::uint64_t kMaxClaim = std::uint64_t{1} << 53;

class File {
 public:
  explicit File(int file) : file_(file) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return file_; }
  int release() { return std::exchange(file_, -1); }

 private:
  int file_;
};

std::string error_text() { return std::strerror(errno); }

bool lock_now(int file, int how) {
  int result = 0;
  do {
    result = ::flock(file, how | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> claimed_bytes(std::string_view text) {
  const auto value = number(text);
  return value && *value <= kMaxClaim ? value : std::nullopt;
}

std::string_view cut(std::string_view& rest, char at) {
  const std::size_t end = std::min(rest.find(at), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

std::string read_small(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxEntryBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// Field 22 of /proc/PID/stat; the name before it, in brackets, may hold anything. 0: not known.
std::uint64_t start_of(const std::filesystem::path& root, std::int64_t process) {
  const std::string stat = read_small(root / "proc" / std::to_string(process) / "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int i = 3; i < 22; ++i) fields >> field;
  std::uint64_t start = 0;
  return fields >> start ? start : 0;
}

// What of its own memory it has touched.
std::uint64_t touched_by(const std::filesystem::path& root, std::int64_t process) {
  const std::string status = read_small(root / "proc" / std::to_string(process) / "status");
  const std::size_t at = status.find("RssAnon:");
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + 8, nullptr, 10) * 1024;
}

std::vector<std::string> pools_of_process(const std::filesystem::path& root) {
  std::vector<std::string> pools = {kHostPool};
  for (const GroupLimit& group : group_limits(root)) {
    if (std::ranges::find(pools, group.pool) == pools.end()) pools.push_back(group.pool);
  }
  return pools;
}

bool is_line(const std::string& text) {
  return !text.empty() && text.find('\n') == std::string::npos;
}

bool is_entry_name(std::string_view name) { return name.ends_with(kEntryEnd) && name[0] != '.'; }

// A process with what it has claimed in all its entries.
struct Claimant {
  MemoryEntry sum;
  std::uint64_t own_ledger = 0;  // of sum, of the ledger that asks
};

void add(const MemoryEntry& entry, bool is_own, std::map<std::int64_t, Claimant>& all) {
  Claimant& claimant = all.try_emplace(entry.process).first->second;
  MemoryEntry& sum = claimant.sum;
  sum.process = entry.process;
  sum.started = entry.started;
  sum.claim.mapped_bytes += entry.claim.mapped_bytes;
  sum.claim.own_bytes += entry.claim.own_bytes;
  if (is_own) claimant.own_ledger += entry.claim.mapped_bytes + entry.claim.own_bytes;
  for (const auto& [name, bytes] : entry.claim.devices) sum.claim.devices[name] += bytes;
  if (sum.pools.empty()) sum.pools = entry.pools;
}

}  // namespace

std::string device_pool(const std::string& device) { return "device " + device; }

std::string entry_text(const MemoryEntry& entry) {
  std::string text =
      fmt::format("{}\nprocess {} {}\nmapped {}\nown {}\n", kFirstLine, entry.process,
                  entry.started, entry.claim.mapped_bytes, entry.claim.own_bytes);
  for (const std::string& pool : entry.pools) {
    if (is_line(pool)) text += fmt::format("in {}\n", pool);
  }
  for (const auto& [name, bytes] : entry.claim.devices) {
    if (is_line(name)) text += fmt::format("device {} {}\n", bytes, name);
  }
  return text;
}

absl::StatusOr<MemoryEntry> parse_entry(std::string_view text) {
  const auto bad = [] { return absl::InvalidArgumentError("it is not an entry of a node"); };
  if (text.size() > kMaxEntryBytes || !text.ends_with('\n')) return bad();
  if (cut(text, '\n') != kFirstLine) return bad();
  MemoryEntry entry;
  for (std::size_t lines = 0; !text.empty(); ++lines) {
    if (lines == kMaxLines) return bad();
    std::string_view line = cut(text, '\n');
    const std::string_view word = cut(line, ' ');
    if (word == "process") {
      const auto process = number(cut(line, ' '));
      const auto started = number(line);
      if (!process || !started || *process == 0 || *process > INT32_MAX) return bad();
      entry.process = static_cast<std::int64_t>(*process);
      entry.started = *started;
    } else if (word == "mapped" || word == "own") {
      const auto bytes = claimed_bytes(line);
      if (!bytes) return bad();
      (word == "own" ? entry.claim.own_bytes : entry.claim.mapped_bytes) = *bytes;
    } else if (word == "in") {
      if (line.empty()) return bad();
      entry.pools.emplace_back(line);
    } else if (word == "device") {
      const auto bytes = claimed_bytes(cut(line, ' '));
      if (!bytes || line.empty()) return bad();
      entry.claim.devices[std::string(line)] = *bytes;
    }  // else of a later version
  }
  if (entry.process == 0) return bad();
  return entry;
}

std::uint64_t PromisedMemory::of(const std::string& pool) const {
  const auto found = pools.find(pool);
  return found == pools.end() ? 0 : found->second;
}

MemoryLedger::Turn::Turn(Turn&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
MemoryLedger::Turn::~Turn() {
  if (file_ >= 0) ::close(file_);  // and so unlocked
}

std::filesystem::path MemoryLedger::default_folder() {
  const uid_t user = ::geteuid();
  std::vector<std::filesystem::path> bases;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
    bases.emplace_back(runtime);
  }
  bases.push_back(std::filesystem::path("/run/user") / std::to_string(user));
  for (const std::filesystem::path& base : bases) {
    struct stat found {};
    if (::stat(base.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == user) {
      return base / "shoal" / "memory";
    }
  }
  return std::filesystem::path("/tmp") / fmt::format("shoal-{}", user) / "memory";
}

absl::StatusOr<std::unique_ptr<MemoryLedger>> MemoryLedger::open(
    const std::filesystem::path& folder, const std::filesystem::path& root) {
  // The last two parts are ours to make; in /tmp anybody may have made them before.
  for (const std::filesystem::path& part : {folder.parent_path(), folder}) {
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::UnavailableError(fmt::format("cannot make {}: {}", part.string(), error_text()));
    }
    struct stat found {};
    if (::lstat(part.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) ||
        found.st_uid != ::geteuid() || (found.st_mode & 022) != 0) {
      return absl::PermissionDeniedError(fmt::format(
          "{} is not a folder that this user alone may change: remove it", part.string()));
    }
  }
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) {
    return absl::UnavailableError(fmt::format("cannot open {}: {}", folder.string(), error_text()));
  }
  return std::unique_ptr<MemoryLedger>(new MemoryLedger(folder, root, directory));
}

MemoryLedger::MemoryLedger(std::filesystem::path folder, std::filesystem::path root, int directory)
    : folder_(std::move(folder)), root_(std::move(root)), directory_(directory) {}

MemoryLedger::~MemoryLedger() {
  if (!name_.empty()) ::unlinkat(directory_, name_.c_str(), 0);
  if (file_ >= 0) ::close(file_);
  ::close(directory_);
}

absl::StatusOr<MemoryLedger::Turn> MemoryLedger::take_turn(std::chrono::milliseconds most) {
  File file(::openat(directory_, kTurnFile, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) {
    return absl::UnavailableError(
        fmt::format("cannot open {}: {}", (folder_ / kTurnFile).string(), error_text()));
  }
  const auto deadline = std::chrono::steady_clock::now() + most;
  while (!lock_now(file.get(), LOCK_EX)) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::DeadlineExceededError(fmt::format("another node keeps {} locked for {} ms",
                                                     (folder_ / kTurnFile).string(), most.count()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return Turn(file.release());
}

PromisedMemory MemoryLedger::promised(const Turn& /*turn*/, bool with_own) const {
  PromisedMemory result;
  const auto ignore = [&](const std::string& name, const std::string& why) {
    result.notes.push_back(fmt::format("{} is ignored: {}", (folder_ / name).string(), why));
  };
  std::map<std::int64_t, Claimant> claimants;
  DIR* const listing = ::opendir(folder_.c_str());
  if (listing == nullptr) return result;
  std::size_t seen = 0;
  while (const dirent* found = ::readdir(listing)) {
    const std::string name = found->d_name;
    if (!is_entry_name(name)) continue;
    if (++seen > kMaxEntries) {
      ignore("", fmt::format("more than {} entries lie there", kMaxEntries));
      break;
    }
    const bool is_own = name == name_;
    if (is_own && !with_own) continue;
    const File file(
        ::openat(directory_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat about {};
    if (file.get() < 0 || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode) ||
        about.st_uid != ::geteuid()) {
      ignore(name, "it is not a file of this user");
      continue;
    }
    if (!is_own && lock_now(file.get(), LOCK_SH)) {  // its process is gone
      ::unlinkat(directory_, name.c_str(), 0);
      continue;
    }
    std::string text(kMaxEntryBytes + 1, '\0');
    const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    const auto entry = parse_entry(text);
    if (!entry.ok()) {
      ignore(name, std::string(entry.status().message()));
      continue;
    }
    add(*entry, is_own, claimants);
  }
  ::closedir(listing);
  for (const auto& [process, claimant] : claimants) {
    const MemoryEntry& sum = claimant.sum;
    // Of another process that has the number by now, or of a container's, nothing is known.
    const bool known = start_of(root_, process) == sum.started;
    const std::uint64_t touched =
        known ? std::min(touched_by(root_, process), sum.claim.own_bytes) : 0;
    const std::uint64_t promised = sum.claim.mapped_bytes + sum.claim.own_bytes - touched;
    for (const std::string& pool : sum.pools) result.pools[pool] += promised;
    for (const auto& [name, bytes] : sum.claim.devices) {
      result.pools[device_pool(name)] += bytes;
    }
    if (claimant.own_ledger > 0) {
      result.own = claimant.own_ledger - std::min(touched, claimant.own_ledger);
    }
  }
  return result;
}

absl::Status MemoryLedger::claim(const Turn& /*turn*/, const MemoryClaim& claim) {
  static std::atomic<std::uint64_t> count = 0;
  if (file_ < 0) {
    const std::string name = fmt::format("{}-{}{}", ::getpid(), ++count, kEntryEnd);
    ::unlinkat(directory_, name.c_str(), 0);  // of a process that had our number
    File file(::openat(directory_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600));
    if (file.get() < 0 || !lock_now(file.get(), LOCK_EX)) {
      return absl::UnavailableError(
          fmt::format("cannot write {}: {}", (folder_ / name).string(), error_text()));
    }
    file_ = file.release();
    name_ = name;
  }
  MemoryEntry entry;
  entry.process = ::getpid();
  entry.started = start_of(root_, entry.process);
  entry.claim = claim;
  entry.claim.mapped_bytes = std::min(entry.claim.mapped_bytes, kMaxClaim);
  entry.claim.own_bytes = std::min(entry.claim.own_bytes, kMaxClaim);
  entry.pools = pools_of_process(root_);
  const std::string text = entry_text(entry);
  if (::ftruncate(file_, 0) != 0 ||
      ::pwrite(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return absl::UnavailableError(
        fmt::format("cannot write {}: {}", (folder_ / name_).string(), error_text()));
  }
  return absl::OkStatus();
}

}  // namespace shoal::base
