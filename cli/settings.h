// SPDX-License-Identifier: Apache-2.0
// What stands for options that nobody typed: variables of the environment and a file in TOML, both
// with the options' own names. What is typed counts more than a variable, and a variable more than
// the file. invoke() (cli/command.h) takes them for commands that have the option --config. Pure,
// but for settings_of_process() and read_settings_file().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::cli {

// A longer file is no configuration.
inline constexpr std::size_t kMaxSettingsBytes = 1 << 20;

struct Settings {
  std::string prefix;              // "SHOAL_NODE_"; empty: no variables
  std::string file_name;           // "shoal-node.toml"
  std::vector<std::string> files;  // the first that is there is read when --config names none
  std::vector<std::pair<std::string, std::string>> variables;  // those with the prefix
};

// Of a program called "shoal-node": SHOAL_NODE_*, and shoal-node.toml in $XDG_CONFIG_HOME/shoal (or
// ~/.config/shoal), else in /etc/shoal.
Settings settings_of_process(const std::string& program);
// Where a user's file belongs; empty without a home.
std::string user_settings_file(const std::string& program);
// "SHOAL_NODE_" and "--max-sessions": SHOAL_NODE_MAX_SESSIONS.
std::string variable_of(const std::string& prefix, const std::string& option);

// One entry of a file.
struct Setting {
  std::string table;               // of the command that it is for; empty: of all that know it
  std::string key;                 // "max-sessions"
  std::string where;               // "/etc/shoal/shoal-node.toml, line 3"
  std::optional<bool> on;          // it is true or false
  std::vector<std::string> texts;  // else: as they would be typed
  bool is_list = false;
};

// Usage errors that name file and line. Times, tables within tables, and lists of lists are none.
absl::StatusOr<std::vector<Setting>> parse_settings(std::string_view text, const std::string& path);
// The same; NOT_FOUND when there is no such file, PERMISSION_DENIED and others when it cannot be
// read.
absl::StatusOr<std::vector<Setting>> read_settings_file(const std::string& path);

// What parse_settings would read again: `key = value`, one a line, in the table of a command if one
// is named. Nothing of nothing.
struct Assignment {
  std::string key;
  std::vector<std::string> texts;  // empty: a flag
  bool is_list = false;
};
std::string settings_text(const std::vector<Assignment>& assignments,
                          const std::string& table = {});

}  // namespace shoal::cli
