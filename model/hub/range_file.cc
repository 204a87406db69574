// SPDX-License-Identifier: Apache-2.0
#include "model/hub/range_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/sha256.h"
#include "model/whole_file.h"

namespace shoal::model::hub {
namespace {

constexpr std::size_t kMaxLines = 4096;  // then the record is made anew
constexpr std::uint64_t kCopyBytes = 1 << 20;

absl::Status failed(const std::string& path, const char* what) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  const std::string text = absl::StrCat(path, ": cannot be ", what, ": ", std::strerror(errno));
  return full ? absl::ResourceExhaustedError(
                    absl::StrCat(text, "; make room, or set HF_HOME to a folder on another disk"))
              : absl::FailedPreconditionError(text);
}

}  // namespace

class RangeFile::Impl {
 public:
  Impl(std::string path, PartRecord record) : path_(std::move(path)), record_(std::move(record)) {}
  ~Impl() {
    if (file_ >= 0 && lines_ >= 0) note().IgnoreError();
    if (file_ >= 0) ::close(file_);
    if (lines_ >= 0) ::close(lines_);
  }

  std::string record_path() const { return absl::StrCat(path_, std::string(kRangesSuffix)); }
  const std::string& path() const { return path_; }
  const PartRecord& record() const { return record_; }

  absl::Status open() {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct stat info {};
    if (file_ < 0 || ::fstat(file_, &info) != 0) return failed(path_, "opened");
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const absl::StatusOr<std::optional<PartRecord>> there = read_part_record(record_path());
    if (there.ok() && *there && size == record_.size && (*there)->size == record_.size &&
        (*there)->etag == record_.etag) {
      record_ = **there;
      return open_lines();
    }
    // The record first: a file without one is nothing.
    ::unlink(record_path().c_str());
    if (::ftruncate(file_, 0) != 0 || ::ftruncate(file_, static_cast<off_t>(record_.size)) != 0) {
      return failed(path_, "made");
    }
    return absl::OkStatus();
  }

  absl::Status write(std::uint64_t at, std::string_view bytes) {
    if (lines_ < 0) {
      if (absl::Status begun = store(); !begun.ok()) return begun;
    }
    const ByteRange range{at, at + bytes.size()};
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return failed(path_, "written");
      bytes.remove_prefix(static_cast<std::size_t>(count));
      at += static_cast<std::uint64_t>(count);
    }
    record_.present.add(range);
    record_.hashes.clear();
    unrecorded_.add(range);
    return unrecorded_.bytes() < kUnrecordedBytes ? absl::OkStatus() : note();
  }

  absl::StatusOr<std::string> read(ByteRange range) const {
    std::string bytes(static_cast<std::size_t>(range.size()), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count = ::pread(file_, bytes.data() + done, bytes.size() - done,
                                    static_cast<off_t>(range.begin + done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return failed(path_, "read");
      done += static_cast<std::size_t>(count);
    }
    return bytes;
  }

  absl::Status store() {
    if (::fdatasync(file_) != 0) return failed(path_, "written");
    const std::string text = part_record_text(record_, boot_name());
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    if (auto status = write_whole_file(record_path(), {&bytes, 1}); !status.ok()) return status;
    unrecorded_ = ByteRanges();
    return open_lines();
  }

  absl::Status hash(const FileWork& work) {
    std::vector<PartHash> hashes;
    std::uint64_t done = 0;
    for (const ByteRange& range : record_.present.list()) {
      Sha256 sha;
      for (std::uint64_t at = range.begin; at < range.end; at += kCopyBytes) {
        if (work.stop != nullptr && work.stop->stopped()) return work.stop->status();
        const absl::StatusOr<std::string> bytes = read({at, std::min(range.end, at + kCopyBytes)});
        if (!bytes.ok()) return bytes.status();
        sha.add(bytes->data(), bytes->size());
        done += bytes->size();
        if (work.progress) work.progress(done, record_.present.bytes());
      }
      const absl::StatusOr<Sha256Digest> digest = sha.finish();
      if (!digest.ok()) return digest.status();
      hashes.push_back({range, *digest});
    }
    record_.hashes = std::move(hashes);
    return absl::OkStatus();
  }

  absl::Status become(const std::string& path) {
    if (::fdatasync(file_) != 0) return failed(path_, "written");
    if (std::rename(path_.c_str(), path.c_str()) != 0) return failed(path, "made");
    forget_record();
    return absl::OkStatus();
  }

  void remove() {
    forget_record();
    ::unlink(path_.c_str());
  }

 private:
  void forget_record() {
    if (lines_ >= 0) ::close(std::exchange(lines_, -1));
    ::unlink(record_path().c_str());
  }

  absl::Status open_lines() {
    if (lines_ >= 0) ::close(lines_);
    count_ = 0;
    lines_ = ::open(record_path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    return lines_ < 0 ? failed(record_path(), "opened") : absl::OkStatus();
  }

  // To the record, one write: a process that is killed leaves whole lines, or half of the last.
  absl::Status note() {
    if (unrecorded_.empty()) return absl::OkStatus();
    std::string text;
    for (const ByteRange& range : unrecorded_.list()) text += part_record_line(range);
    if (::write(lines_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      return failed(record_path(), "written");
    }
    count_ += unrecorded_.list().size();
    unrecorded_ = ByteRanges();
    return count_ > kMaxLines ? store() : absl::OkStatus();
  }

  const std::string path_;
  PartRecord record_;
  ByteRanges unrecorded_;
  std::size_t count_ = 0;  // lines since the record was made
  int file_ = -1, lines_ = -1;
};

RangeFile::RangeFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RangeFile::RangeFile(RangeFile&&) noexcept = default;
RangeFile& RangeFile::operator=(RangeFile&&) noexcept = default;
RangeFile::~RangeFile() = default;

absl::StatusOr<RangeFile> RangeFile::open(const std::string& path, std::uint64_t size,
                                          const std::string& etag) {
  auto impl = std::make_unique<Impl>(
      path, PartRecord{.size = size, .etag = etag, .present = {}, .hashes = {}});
  if (absl::Status status = impl->open(); !status.ok()) return status;
  return RangeFile(std::move(impl));
}

const std::string& RangeFile::path() const { return impl_->path(); }
const PartRecord& RangeFile::record() const { return impl_->record(); }

absl::Status RangeFile::write(std::uint64_t at, std::string_view bytes) {
  return impl_->write(at, bytes);
}

absl::StatusOr<std::string> RangeFile::read(ByteRange range) const { return impl_->read(range); }

absl::StatusOr<std::uint64_t> RangeFile::take_from(const RangeFile& other,
                                                   const ByteRanges& wanted) {
  std::uint64_t taken = 0;
  if (other.record().etag != record().etag || other.record().size != record().size) return taken;
  const ByteRanges lacks = wanted.without(record().present);
  const ByteRanges theirs = lacks.without(lacks.without(other.record().present));
  for (const ByteRange& range : theirs.list()) {
    for (std::uint64_t at = range.begin; at < range.end; at += kCopyBytes) {
      const absl::StatusOr<std::string> bytes =
          other.read({at, std::min(range.end, at + kCopyBytes)});
      if (!bytes.ok()) return bytes.status();
      if (absl::Status written = write(at, *bytes); !written.ok()) return written;
      taken += bytes->size();
    }
  }
  return taken;
}

absl::Status RangeFile::store() { return impl_->store(); }

absl::Status RangeFile::store_with_hashes(const FileWork& work) {
  if (absl::Status status = impl_->hash(work); !status.ok()) return status;
  return impl_->store();
}

absl::Status RangeFile::become(const std::string& path) { return impl_->become(path); }
void RangeFile::remove() { impl_->remove(); }

}  // namespace shoal::model::hub
