// SPDX-License-Identifier: Apache-2.0
// A weight file of which only parts were fetched: FILE.shoal-part, with the size and header of
// FILE and holes where nothing was fetched, and beside it FILE.shoal-part.ranges, which says what
// is there (docs/model-folders.md, "Models by name"). Under names of our own, so that nobody takes
// one for the whole file. Pure but for read_part_record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/byte_ranges.h"
#include "model/sha256.h"

namespace shoal::model {

inline constexpr std::string_view kPartSuffix = ".shoal-part";
inline constexpr std::string_view kRangesSuffix = ".ranges";

struct PartHash {
  ByteRange range;
  Sha256Digest sha256{};

  bool operator==(const PartHash&) const = default;
};

struct PartRecord {
  std::uint64_t size = 0;  // of the whole file
  // What whoever sent the parts says that the whole is: a SHA-256, or a git blob's SHA-1, in
  // hexadecimal digits. No part can be held against it.
  std::string etag;
  ByteRanges present;
  // Of what is there, as it was received; empty until all that was wanted had come.
  std::vector<PartHash> hashes;

  bool operator==(const PartRecord&) const = default;
  // Says which bytes these are, whatever the sender says; nullopt while there are no hashes.
  std::optional<Sha256Digest> content() const;
};

// Lines, of which the last may be cut short: the record is appended to while bytes come in.
// `boot`: of the system that runs now. What was not known to be on the disk when another one ran
// may never have got there, and does not count.
absl::StatusOr<PartRecord> parse_part_record(std::string_view text, std::string_view boot,
                                             const std::string& where);
// A new one of which all is on the disk.
std::string part_record_text(const PartRecord& record, std::string_view boot);
// To be appended when a range has come.
std::string part_record_line(ByteRange range);

// nullopt: there is none.
absl::StatusOr<std::optional<PartRecord>> read_part_record(const std::string& path);
// Another one after each start of the system; empty where the system does not say.
std::string boot_name();

}  // namespace shoal::model
