// SPDX-License-Identifier: Apache-2.0
#include "node/account/session_log.h"

#include <fmt/format.h>

#include "node/account/amounts.h"

namespace shoal::node {
namespace {

constexpr std::chrono::minutes kLogWindow{1};

}  // namespace

bool SessionLog::may_tell(Time now) {
  if (!minute_) minute_ = now;
  ++events_;
  const bool tell = !busy_ && events_ <= kMostLines;
  if (!tell) ++merged_.events;
  return tell;
}

std::optional<std::string> SessionLog::opened(const SessionStart& start, Time now) {
  if (!may_tell(now)) {
    ++merged_.opened;
    return std::nullopt;
  }
  return fmt::format("session {} opened by client {}", start.session, start.client);
}

std::optional<std::string> SessionLog::ended(const SessionEnd& end, Time now) {
  if (!may_tell(now)) {
    ++merged_.ended;
    if (!end.failure.empty()) ++merged_.failed;
    merged_.tokens += end.tokens();
    merged_.bytes_in += end.bytes_in;
    merged_.bytes_out += end.bytes_out;
    return std::nullopt;
  }
  std::string text =
      fmt::format("session {} ended after {}: {}, {} in, {} out", end.session,
                  duration_text(end.seconds), count_of(end.tokens(), "token", "tokens"),
                  bytes_text(end.bytes_in), bytes_text(end.bytes_out));
  if (!end.failure.empty()) text += fmt::format(" ({})", end.failure);
  return text;
}

std::optional<std::string> SessionLog::lost(const LostHop& hop, Time now) {
  if (!may_tell(now)) {
    ++merged_.lost;
    return std::nullopt;
  }
  return fmt::format("session {} lost its next hop {}: {}", hop.session, hop.hop, hop.reason);
}

std::optional<std::string> SessionLog::tend(Time now) {
  if (!minute_ || now - *minute_ < kLogWindow) return std::nullopt;
  return close();
}

std::optional<std::string> SessionLog::close() {
  busy_ = events_ > kMostLines;
  events_ = 0;
  minute_.reset();
  const Merged merged = merged_;
  merged_ = {};
  if (merged.events == 0) return std::nullopt;
  std::string text = fmt::format("many sessions, told once a minute: {} more opened, {} ended",
                                 count_text(merged.opened), count_text(merged.ended));
  if (merged.failed > 0) text += fmt::format(" ({} failed)", count_text(merged.failed));
  text += fmt::format(" with {}, {} in, {} out", count_of(merged.tokens, "token", "tokens"),
                      bytes_text(merged.bytes_in), bytes_text(merged.bytes_out));
  if (merged.lost > 0) text += "; " + count_of(merged.lost, "next hop", "next hops") + " lost";
  return text;
}

}  // namespace shoal::node
