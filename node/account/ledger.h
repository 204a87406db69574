// SPDX-License-Identifier: Apache-2.0
// What a node did since its first day, as it is kept in a small file beside the identity. The texts
// are pure and the parser total; reading and writing the file is LedgerFile's, one thread at a
// time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "node/account/tally.h"

namespace shoal::node {

struct Ledger {
  std::int64_t since_unix_s = 0;  // the first start
  Tally tally;
  bool operator==(const Ledger&) const = default;
};

std::string ledger_json(const Ledger& ledger);
// DATA_LOSS says what is wrong.
absl::StatusOr<Ledger> parse_ledger(std::string_view text);

class LedgerFile {
 public:
  explicit LedgerFile(std::string path) : path_(std::move(path)) {}  // empty: kept nowhere

  // NOT_FOUND: there is none yet. DATA_LOSS: it is damaged; what is there goes to PATH.damaged.
  // Another error: it is there and cannot be read, and is not to be written over.
  absl::StatusOr<Ledger> load() const;
  // Whole or not at all, also where the power fails.
  absl::Status save(const Ledger& ledger) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace shoal::node
