// SPDX-License-Identifier: Apache-2.0
// The routing table between two runs: a file of contacts that were alive, so that a peer finds its
// swarm again when every bootstrap address is gone. Format in docs/protocol-dht.md, "Table file".
// Parsing is pure and total; reading and writing block, and a file that is damaged costs nothing
// but its contents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dht/contact.h"
#include "dht/key.h"

namespace shoal::dht {

// Two tables' worth. A longer file is not ours.
inline constexpr std::size_t kMaxTableContacts = 1024;
// Beyond five days most addresses have changed hands (geth's limit for its seeds).
inline constexpr std::uint64_t kMaxTableAgeS = 5 * 24 * 3600;

struct SavedContact {
  Contact contact;           // with its key
  std::uint64_t seen_s = 0;  // when it last answered: seconds since 1970
  friend bool operator==(const SavedContact&, const SavedContact&) = default;
};

struct SavedTable {
  identity::SwarmId swarm;
  std::vector<SavedContact> contacts;
};

// At most kMaxTableContacts; those without a key or a usable address are left out.
std::string encode_table(const SavedTable& table);
// INVALID_ARGUMENT says what is wrong; the checksum finds every accident.
absl::StatusOr<SavedTable> parse_table_file(std::string_view bytes);
// Replaces the last 32 bytes of `bytes` by the right checksum: for tests of what lies behind it.
std::string with_checksum(std::string bytes);

// NOT_FOUND when there is none yet. FAILED_PRECONDITION: another swarm's. INVALID_ARGUMENT:
// damaged. Contacts older than kMaxTableAgeS are left out. Messages name the file.
absl::StatusOr<std::vector<SavedContact>> read_table_file(const std::string& path,
                                                          const identity::SwarmId& swarm,
                                                          std::uint64_t now_s);
// Replaces the file at once: a reader sees the old one or the new one.
absl::Status write_table_file(const std::string& path, const SavedTable& table);

}  // namespace shoal::dht
