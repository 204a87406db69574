// SPDX-License-Identifier: Apache-2.0
// Which files a revision of a model has, as a hub's API says: names, sizes, and what their bytes
// hash to. From outside: bounded, and every name is checked. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model::hub {

inline constexpr std::size_t kMaxListingBytes = 64u << 20;
inline constexpr std::size_t kMaxFiles = 50'000;

struct RemoteFile {
  std::string path;  // from the model's root, "model.safetensors"
  std::uint64_t size = 0;
  // SHA-256 of the bytes (64 digits), or a git blob's SHA-1 (40); the name of its blob in a cache.
  std::string etag;

  bool has_sha256() const { return etag.size() == 64; }
  bool operator==(const RemoteFile&) const = default;
};

struct Listing {
  std::string commit;
  std::vector<RemoteFile> files;  // by path

  const RemoteFile* find(std::string_view path) const;  // null: there is none
  bool operator==(const Listing&) const = default;
};

// A path that stays below the folder it is put into: relative, no part of it empty, "." or "..",
// no control characters, at most 1,024 bytes and 16 parts.
bool is_safe_path(std::string_view path);

bool is_etag(std::string_view text);  // 40 or 64 small hexadecimal digits

// Of /api/models/REPO/revision/REVISION?blobs=true. Files without size or hash are left out, and
// those whose names nobody may use: whoever needs one does not find it. Errors begin with `where`.
absl::StatusOr<Listing> parse_listing(const std::string& text, const std::string& where);
// The same as parse_listing reads: what is kept of it.
std::string listing_text(const Listing& listing);

}  // namespace shoal::model::hub
