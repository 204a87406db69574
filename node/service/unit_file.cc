// SPDX-License-Identifier: Apache-2.0
#include "node/service/unit_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/shown.h"
#include "cli/usage.h"

namespace shoal::node {
namespace {

constexpr std::string_view kMark = "# Written by shoal-node service install.\n";
constexpr std::string_view kProgram = "@PROGRAM@";

// Blanks, quotes, percent signs and dollars have a meaning in units.
bool is_plain_path(const std::string& path) {
  return path.starts_with('/') && std::ranges::all_of(path, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("/._+-").find(c) != std::string_view::npos;
         });
}

}  // namespace

absl::StatusOr<std::string> unit_text(ServiceScope scope, const std::string& program) {
  if (!is_plain_path(program)) {
    return absl::FailedPreconditionError(fmt::format(
        "systemd would misread the path of this program, {}: put it into a folder whose path has "
        "letters, digits and / . _ + - only",
        program));
  }
  std::string text(unit_template(scope));
  for (std::size_t at = 0; (at = text.find(kProgram, at)) != std::string::npos;) {
    text.replace(at, kProgram.size(), program);
  }
  return std::string(kMark) + text;
}

bool is_written_by_us(std::string_view unit) { return unit.starts_with(kMark); }

absl::StatusOr<std::string> configuration_text(
    const std::vector<ServiceRequest::TypedOption>& options,
    std::string (*absolute)(const std::string& type, const std::string& path)) {
  std::vector<cli::Assignment> assignments;
  for (const ServiceRequest::TypedOption& option : options) {
    const std::string& key = option.assignment.key;
    if (key == "replace" || key == "no-start") continue;
    if (key == "config" || key == "take-over") {
      return cli::usage_error(fmt::format("--{} is not for a service: leave it out", key));
    }
    cli::Assignment assignment = option.assignment;
    for (std::string& text : assignment.texts) {
      text = absolute(option.type, text);
      if (!cli::not_utf8_at(text)) continue;
      return cli::usage_error(
          fmt::format("--{} {} is not UTF-8, as a configuration file must be: give it another name",
                      key, cli::shown(text)));
    }
    assignments.push_back(std::move(assignment));
  }
  // In a table of its own: else a bootstrap node of the same user would read them too, and join
  // itself, or take this one's port.
  return cli::settings_text(assignments, "run");
}

}  // namespace shoal::node
