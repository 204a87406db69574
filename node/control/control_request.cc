// SPDX-License-Identifier: Apache-2.0
#include "node/control/control_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "proto/printable.h"

namespace shoal::node {
namespace {

using Verb = ControlRequest::Verb;
constexpr std::array<std::pair<std::string_view, Verb>, 4> kVerbs = {{{"status", Verb::kStatus},
                                                                      {"pause", Verb::kPause},
                                                                      {"resume", Verb::kResume},
                                                                      {"drain", Verb::kDrain}}};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::optional<std::int64_t> pause_seconds(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '-') {
    return std::nullopt;
  }
  if (number < 1 || number > kMaxPauseSeconds) return std::nullopt;
  return number;
}

}  // namespace

std::string line_of(const ControlRequest& request) {
  std::string line;
  for (const auto& [name, verb] : kVerbs) {
    if (verb == request.verb) line = name;
  }
  if (request.for_s) line += fmt::format(" for={}", *request.for_s);
  if (request.free) line += " free";
  if (request.stop) line += " stop";
  return line + "\n";
}

absl::StatusOr<ControlRequest> parse_request(std::string_view line) {
  const auto wrong = [](std::string_view word) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not understood: status, pause [for=SECONDS] [free], resume or drain "
                    "[free] [stop]",
                    proto::printable(word, 64)));
  };
  if (line.size() > kMaxRequestBytes) return wrong("a line that is too long");
  const auto words = words_of(line);
  const std::string_view first = words.empty() ? std::string_view() : words.front();
  const auto* found =
      std::ranges::find(kVerbs, first, [](const auto& entry) { return entry.first; });
  if (found == kVerbs.end()) return wrong(first);
  ControlRequest request{.verb = found->second};
  const bool pauses = request.verb == Verb::kPause || request.verb == Verb::kDrain;
  constexpr std::string_view kFor = "for=";
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "free" && pauses) {
      request.free = true;
    } else if (word == "stop" && request.verb == Verb::kDrain) {
      request.stop = true;
    } else if (word.starts_with(kFor) && pauses) {
      request.for_s = pause_seconds(word.substr(kFor.size()));
      if (!request.for_s) return wrong(word);
    } else {
      return wrong(word);
    }
  }
  return request;
}

absl::StatusOr<std::int64_t> parse_pause_time(const std::string& text) {
  constexpr std::array<std::pair<char, std::int64_t>, 4> kUnits = {
      {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}}};
  std::string_view number = text;
  std::int64_t unit = 1;
  for (const auto& [letter, seconds] : kUnits) {
    if (number.empty() || number.back() != letter) continue;
    unit = seconds;
    number.remove_suffix(1);
    break;
  }
  const auto count = number.empty() ? std::nullopt : pause_seconds(number);
  if (!count || *count > kMaxPauseSeconds / unit) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no time: write 45s, 30m, 2h or 1d, at most 366d", text));
  }
  return *count * unit;
}

}  // namespace shoal::node
