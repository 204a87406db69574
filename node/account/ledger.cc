// SPDX-License-Identifier: Apache-2.0
#include "node/account/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace shoal::node {
namespace {

constexpr int kLedgerVersion = 1;
// A whole one has some 600 bytes.
constexpr std::size_t kMaxLedgerBytes = 16 << 10;

using WholeField = std::pair<const char*, std::uint64_t Tally::*>;
constexpr std::array<WholeField, 10> kWholeFields = {{
    {"sessions_opened", &Tally::sessions_opened},
    {"sessions_ended", &Tally::sessions_ended},
    {"sessions_failed", &Tally::sessions_failed},
    {"hops_lost", &Tally::hops_lost},
    {"prefill_tokens", &Tally::prefill_tokens},
    {"decode_tokens", &Tally::decode_tokens},
    {"bytes_in", &Tally::bytes_in},
    {"bytes_out", &Tally::bytes_out},
    {"peak_sessions", &Tally::peak_sessions},
    {"peak_kv_positions", &Tally::peak_kv_positions},
}};
using RealField = std::pair<const char*, double Tally::*>;
constexpr std::array<RealField, 6> kRealFields = {{
    {"session_s", &Tally::session_s},
    {"up_s", &Tally::up_s},
    {"paused_s", &Tally::paused_s},
    {"computing_s", &Tally::computing_s},
    {"energy_j", &Tally::energy_j},
    {"energy_s", &Tally::energy_s},
}};

absl::Status ledger_damage(const std::string& what) { return absl::DataLossError(what); }

absl::Status ledger_error(const char* doing, const std::string& path) {
  return absl::UnavailableError(
      fmt::format("cannot {} the account {}: {}", doing, path, std::strerror(errno)));
}

bool write_all(int file, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(file, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

}  // namespace

std::string ledger_json(const Ledger& ledger) {
  nlohmann::ordered_json json = {{"version", kLedgerVersion}, {"since", ledger.since_unix_s}};
  for (const auto& [name, field] : kWholeFields) json[name] = ledger.tally.*field;
  for (const auto& [name, field] : kRealFields) json[name] = ledger.tally.*field;
  return json.dump() + "\n";
}

absl::StatusOr<Ledger> parse_ledger(std::string_view text) {
  if (text.size() > kMaxLedgerBytes) return ledger_damage("it is too long");
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return ledger_damage("it is not whole");
  const auto version = json.find("version");
  if (version == json.end() || *version != kLedgerVersion) {
    return ledger_damage("it is of another version of shoal-node");
  }
  Ledger ledger;
  const auto since = json.find("since");
  if (since == json.end() || !since->is_number_integer()) return ledger_damage("it has no date");
  ledger.since_unix_s = since->get<std::int64_t>();
  for (const auto& [name, field] : kWholeFields) {
    const auto found = json.find(name);
    if (found == json.end()) continue;  // of an earlier version
    if (!found->is_number_unsigned()) return ledger_damage(fmt::format("{} is no count", name));
    ledger.tally.*field = found->get<std::uint64_t>();
  }
  for (const auto& [name, field] : kRealFields) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    const double number = found->is_number() ? found->get<double>() : -1;
    if (!(number >= 0) || !std::isfinite(number)) {
      return ledger_damage(fmt::format("{} is no amount", name));
    }
    ledger.tally.*field = number;
  }
  return ledger;
}

absl::StatusOr<Ledger> LedgerFile::load() const {
  if (path_.empty()) return absl::NotFoundError("kept nowhere");
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError("there is none yet");
    return ledger_error("read", path_);
  }
  std::string text(kMaxLedgerBytes + 1, '\0');
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < text.size() && (got = ::read(file, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<std::size_t>(got);
  }
  const bool failed = got < 0;
  const absl::Status why = failed ? ledger_error("read", path_) : absl::OkStatus();
  ::close(file);
  if (failed) return why;
  auto ledger = parse_ledger(std::string_view(text).substr(0, size));
  if (ledger.ok()) return ledger;
  const std::string aside = path_ + ".damaged";
  const bool moved = std::rename(path_.c_str(), aside.c_str()) == 0;
  return ledger_damage(fmt::format("the account {} cannot be read ({}){}", path_,
                                   std::string(ledger.status().message()),
                                   moved ? "; what it was is " + aside + " now" : ""));
}

absl::Status LedgerFile::save(const Ledger& ledger) const {
  if (path_.empty()) return absl::OkStatus();
  const std::string beside = path_ + ".tmp";  // whoever has the identity is the only writer
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return ledger_error("write", path_);
  const bool written = write_all(file, ledger_json(ledger)) && ::fsync(file) == 0;
  absl::Status status = written ? absl::OkStatus() : ledger_error("write", path_);
  if (::close(file) != 0 && status.ok()) status = ledger_error("write", path_);
  if (status.ok() && std::rename(beside.c_str(), path_.c_str()) != 0) {
    status = ledger_error("write", path_);
  }
  if (!status.ok()) std::remove(beside.c_str());
  return status;
}

}  // namespace shoal::node
