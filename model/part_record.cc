// SPDX-License-Identifier: Apache-2.0
#include "model/part_record.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"

namespace shoal::model {
namespace {

constexpr std::string_view kFirstLine = "shoal ranges 1";
constexpr std::size_t kMaxRecordBytes = 64u << 20;
constexpr std::size_t kMaxEtagBytes = 64;

std::string_view next_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<std::uint64_t> number_of(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<ByteRange> range_of(std::string_view& line, std::uint64_t size) {
  const auto begin = number_of(next_word(line));
  const auto end = number_of(next_word(line));
  if (!begin || !end || *begin >= *end || *end > size) return std::nullopt;
  return ByteRange{*begin, *end};
}

bool is_hex(std::string_view text) {
  return !text.empty() && text.size() <= kMaxEtagBytes &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::optional<Sha256Digest> PartRecord::content() const {
  if (hashes.empty()) return std::nullopt;
  std::string text = absl::StrCat("shoal part of ", size, "\n");
  for (const PartHash& hash : hashes) {
    absl::StrAppend(&text, hash.range.begin, " ", hash.range.end, " ", to_hex(hash.sha256), "\n");
  }
  const absl::StatusOr<Sha256Digest> digest = sha256(text);
  return digest.ok() ? std::optional(*digest) : std::nullopt;
}

absl::StatusOr<PartRecord> parse_part_record(std::string_view text, std::string_view boot,
                                             const std::string& where) {
  const auto damaged = [&](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", why, "; remove it, and the file beside it is fetched again"));
  };
  PartRecord record;
  std::vector<ByteRange> ranges;
  bool is_first = true, same_boot = false;
  while (true) {
    const std::size_t length = text.find('\n');
    if (length == std::string_view::npos) break;  // cut short, or the end
    std::string_view line = text.substr(0, length);
    text.remove_prefix(length + 1);
    if (is_first) {
      if (line != kFirstLine) return damaged("is no record of ranges");
      is_first = false;
      continue;
    }
    const std::string_view word = next_word(line);
    if (word == "size") {
      const auto size = number_of(line);
      if (!size) return damaged("its size is no number");
      record.size = *size;
    } else if (word == "etag") {
      if (!is_hex(line)) return damaged("its etag is not of hexadecimal digits");
      record.etag = std::string(line);
    } else if (word == "boot") {
      same_boot = !line.empty() && line == boot;
    } else if (word == "stored" || word == "came") {
      const auto range = range_of(line, record.size);
      if (!range) return damaged("has a range that is none of the file");
      if (word == "stored" || same_boot) ranges.push_back(*range);
    } else if (word == "hash") {
      const auto range = range_of(line, record.size);
      const auto digest = sha256_from_hex(line);
      if (!range || !digest) return damaged("has a hash that is none");
      record.hashes.push_back({*range, *digest});
    } else {
      return damaged("has a line that nobody writes");
    }
  }
  if (is_first || record.etag.empty()) return damaged("is cut short");
  record.present = ByteRanges(std::move(ranges));
  for (const PartHash& hash : record.hashes) {
    if (!record.present.contains(hash.range)) return damaged("has a hash of what is not there");
  }
  return record;
}

std::string part_record_text(const PartRecord& record, std::string_view boot) {
  std::string text = absl::StrCat(std::string(kFirstLine), "\nsize ", record.size, "\netag ",
                                  record.etag, "\nboot ", std::string(boot), "\n");
  for (const ByteRange& range : record.present.list()) {
    absl::StrAppend(&text, "stored ", range.begin, " ", range.end, "\n");
  }
  for (const PartHash& hash : record.hashes) {
    absl::StrAppend(&text, "hash ", hash.range.begin, " ", hash.range.end, " ", to_hex(hash.sha256),
                    "\n");
  }
  return text;
}

std::string part_record_line(ByteRange range) {
  return absl::StrCat("came ", range.begin, " ", range.end, "\n");
}

absl::StatusOr<std::optional<PartRecord>> read_part_record(const std::string& path) {
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxRecordBytes);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  if (!text.ok()) return text.status();
  absl::StatusOr<PartRecord> record = parse_part_record(*text, boot_name(), path);
  if (!record.ok()) return record.status();
  return *std::move(record);
}

std::string boot_name() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace shoal::model
