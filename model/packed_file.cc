// SPDX-License-Identifier: Apache-2.0
// The header, as the machine has its numbers: magic [8], version u32, a mark of the order of bytes
// u32, key [32], bytes of the matrices u64, their checksum (XXH3, 128 bits) [16], and of all that
// (XXH3, 64 bits) u64; zeros up to kHeaderBytes. Checksums find damage; they do not keep out
// whoever may write to the folder.
#include "model/packed_file.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/block_key.h"
#include "model/whole_file.h"

namespace shoal::model {
namespace {

constexpr std::size_t kHeaderBytes = 4096;  // a page: the matrices begin at one
constexpr std::array<char, 8> kMagic = {'s', 'h', 'o', 'a', 'l', 'b', 'l', 'k'};
constexpr std::uint32_t kByteOrder = 0x01020304;
constexpr std::size_t kPieceOfFile = 4u << 20;

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kPackVersion;
  std::uint32_t byte_order = kByteOrder;
  Sha256Digest key{};
  std::uint64_t bytes = 0;
  std::array<std::uint8_t, 16> checksum{};
  std::uint64_t own = 0;

  std::uint64_t own_checksum() const { return XXH3_64bits(this, offsetof(Header, own)); }
};
static_assert(sizeof(Header) == 80);

class Checksum {
 public:
  Checksum() { XXH3_128bits_reset(state_); }
  ~Checksum() { XXH3_freeState(state_); }
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(std::span<const std::byte> bytes) {
    XXH3_128bits_update(state_, bytes.data(), bytes.size());
  }
  std::array<std::uint8_t, 16> value() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_));
    std::array<std::uint8_t, 16> value{};
    std::memcpy(value.data(), canonical.digest, value.size());
    return value;
  }

 private:
  XXH3_state_t* const state_ = XXH3_createState();
};

}  // namespace

absl::StatusOr<PackedFile> PackedFile::open(const std::string& path, const Sha256Digest& key,
                                            std::uint64_t bytes, const PieceDone& done) {
  absl::StatusOr<MappedFile> mapped = MappedFile::open(path);
  if (!mapped.ok()) return mapped.status();
  mapped->note_use();
  const auto damaged = [&](const char* why) {
    return absl::DataLossError(absl::StrCat(path, ": ", why));
  };
  Header header;
  if (mapped->size() < kHeaderBytes) return damaged("is too short");
  std::memcpy(&header, mapped->data(), sizeof(header));
  if (header.magic != kMagic || header.version != kPackVersion || header.byte_order != kByteOrder) {
    return damaged("is not of this version");
  }
  if (header.own != header.own_checksum()) return damaged("its header is damaged");
  if (header.key != key) return damaged("is of other weights");
  if (header.bytes != bytes) return damaged("is of another size");
  if (mapped->size() != kHeaderBytes + bytes) return damaged("is not whole");
  PackedFile file(*std::move(mapped));
  Checksum checksum;
  for (std::span<const std::byte> left = file.matrices(); !left.empty();) {
    const std::size_t here = std::min(left.size(), kPieceOfFile);
    checksum.add(left.first(here));
    left = left.subspan(here);
    if (!done(here)) return absl::CancelledError("interrupted");
  }
  if (checksum.value() != header.checksum) return damaged("its bytes do not fit its checksum");
  if (absl::Status intact = file.check(); !intact.ok()) return intact;
  return file;
}

absl::Status PackedFile::write(const std::string& path, const Sha256Digest& key,
                               std::span<const std::span<const std::byte>> matrices) {
  static constexpr std::array<std::byte, 64> kZeros{};
  std::array<std::byte, kHeaderBytes> first{};
  std::vector<std::span<const std::byte>> parts = {first};
  Header header;
  Checksum checksum;
  for (const std::span<const std::byte> matrix : matrices) {
    const auto fill = std::span(kZeros).first(filled_up(matrix.size()) - matrix.size());
    for (const std::span<const std::byte> part : {matrix, std::span<const std::byte>(fill)}) {
      if (part.empty()) continue;
      parts.push_back(part);
      checksum.add(part);
      header.bytes += part.size();
    }
  }
  header.key = key;
  header.checksum = checksum.value();
  header.own = header.own_checksum();
  std::memcpy(first.data(), &header, sizeof(header));
  return write_whole_file(path, parts);
}

std::span<const std::byte> PackedFile::matrices() const {
  return std::span(file_.data(), file_.size()).subspan(kHeaderBytes);
}

absl::Status PackedFile::check() const {
  const absl::Status status = file_.check();
  return status.ok() ? status : absl::DataLossError(status.message());
}

}  // namespace shoal::model
