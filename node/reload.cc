// SPDX-License-Identifier: Apache-2.0
#include "node/reload.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

namespace shoal::node {
namespace {

constexpr std::array<std::string_view, 7> kFollowed = {
    "drain-timeout", "free-paused",           "hours", "log-level",
    "max-sessions",  "max-sessions-per-peer", "nice"};

std::map<std::string, std::vector<std::string>> by_key(
    const std::vector<cli::Assignment>& options) {
  std::map<std::string, std::vector<std::string>> result;
  for (const cli::Assignment& option : options) result[option.key] = option.texts;
  return result;
}

}  // namespace

bool Reload::has(const std::string& key) const { return std::ranges::find(now, key) != now.end(); }

Reload compare_options(const std::vector<cli::Assignment>& before,
                       const std::vector<cli::Assignment>& after) {
  Reload reload;
  const auto old_values = by_key(before);
  const auto new_values = by_key(after);
  const auto note = [&](const std::string& key) {
    (std::ranges::find(kFollowed, key) != kFollowed.end() ? reload.now : reload.later)
        .push_back(key);
  };
  for (const auto& [key, texts] : old_values) {
    const auto found = new_values.find(key);
    if (found == new_values.end() || found->second != texts) note(key);
  }
  for (const auto& [key, texts] : new_values) {
    if (!old_values.contains(key)) note(key);
  }
  return reload;
}

std::string reload_text(const Reload& reload) {
  if (reload.now.empty() && reload.later.empty()) {
    return "the configuration was read again: nothing has changed";
  }
  std::string text = "the configuration was read again";
  if (!reload.now.empty()) text += fmt::format("; changed now: {}", fmt::join(reload.now, ", "));
  if (!reload.later.empty()) {
    text += fmt::format("; at the next start: {}", fmt::join(reload.later, ", "));
  }
  return text;
}

}  // namespace shoal::node
