// SPDX-License-Identifier: Apache-2.0
// Files to their SHA-256: hash_files of model/sha256.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "model/sha256.h"

namespace shoal::model {
namespace {

constexpr std::size_t kPieceBytes = 1u << 20;
// Below, starting threads costs more than it gains; above so many, disks gain nothing.
constexpr std::uint64_t kWorthThreads = 64u << 20;
constexpr std::size_t kMostThreads = 4;
constexpr std::chrono::milliseconds kLook{100};  // between two looks at progress and cancelling

struct Job {
  explicit Job(const std::vector<std::string>& of) : paths(of), results(of.size()) {}

  const std::vector<std::string>& paths;
  std::vector<HashedFile> results;
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  base::Mutex mutex;
  base::CondVar changed;
  std::size_t running ABSL_GUARDED_BY(mutex) = 0;
  absl::Status status ABSL_GUARDED_BY(mutex);  // the first that is not OK
};

FileStamp stamp_of(const struct stat& info) {
  return {static_cast<std::uint64_t>(info.st_size),
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(info.st_ino)};
}

// `told` between pieces; false ends it.
template <typename Told>
absl::Status hash_file(int file, const std::string& path, const Told& told, HashedFile& result) {
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  }
  result.stamp = stamp_of(info);
  Sha256 hash;
  const std::unique_ptr<char[]> piece(new char[kPieceBytes]);
  while (true) {
    const ssize_t count = ::read(file, piece.get(), kPieceBytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
    }
    if (count == 0) break;
    hash.add(piece.get(), static_cast<std::size_t>(count));
    if (!told(static_cast<std::uint64_t>(count))) return absl::CancelledError("interrupted");
  }
  if (::fstat(file, &info) != 0 || stamp_of(info) != result.stamp) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was changed while it was read: start again when it is complete"));
  }
  const absl::StatusOr<Sha256Digest> digest = hash.finish();
  if (!digest.ok()) return digest.status();
  result.sha256 = *digest;
  return absl::OkStatus();
}

// Takes file after file; the last one out says so. With `look` it runs on the caller's thread.
void work_on(Job& job, const std::function<void()>& look) {
  while (!job.stop) {
    const std::size_t at = job.next.fetch_add(1);
    if (at >= job.paths.size()) break;
    const std::string& path = job.paths[at];
    absl::Status status;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
      status = absl::FailedPreconditionError(
          absl::StrCat(path, ": cannot be opened: ", std::strerror(errno)));
    } else {
      const auto told = [&](std::uint64_t bytes) {
        job.done += bytes;
        if (look) look();
        return !job.stop.load();
      };
      status = hash_file(file, path, told, job.results[at]);
      ::close(file);
    }
    if (status.ok()) continue;
    const base::MutexLock lock(job.mutex);
    if (job.status.ok()) job.status = std::move(status);
    job.stop = true;
  }
}

// False when threads still work after `time`, or a little more.
bool ended_within(Job& job, std::chrono::milliseconds time) {
  const base::MutexLock lock(job.mutex);
  while (job.running > 0 && job.changed.wait_for(job.mutex, time)) continue;
  return job.running == 0;
}

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace

absl::StatusOr<std::vector<HashedFile>> hash_files(const std::vector<std::string>& paths,
                                                   const FileWork& work) {
  Job job(paths);
  std::uint64_t all = 0;
  for (const std::string& path : paths) all += size_of(path);
  const auto look = [&] {
    if (work.progress) work.progress(std::min(job.done.load(), all), all);
    if (work.stop != nullptr && work.stop->stopped()) job.stop = true;
  };
  const std::size_t useful =
      all < kWorthThreads
          ? 1
          : std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  const std::size_t count =
      std::min(work.threads > 0 ? static_cast<std::size_t>(work.threads) : useful, paths.size());
  look();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; count > 1 && i < count; ++i) {
    try {
      {
        const base::MutexLock lock(job.mutex);
        ++job.running;
      }
      threads.emplace_back([&job] {
        work_on(job, {});
        const base::MutexLock lock(job.mutex);
        --job.running;
        job.changed.notify_all();
      });
    } catch (const std::system_error&) {  // no more threads: those that there are do it
      const base::MutexLock lock(job.mutex);
      --job.running;
      break;
    }
  }
  if (threads.empty()) {
    work_on(job, look);
  } else {
    while (!ended_within(job, kLook)) look();
  }
  for (std::thread& thread : threads) thread.join();
  {
    const base::MutexLock lock(job.mutex);
    if (!job.status.ok()) return job.status;
  }
  if (job.stop) return absl::CancelledError("interrupted");
  if (work.progress) work.progress(all, all);
  return std::move(job.results);
}

}  // namespace shoal::model
