// SPDX-License-Identifier: Apache-2.0
// The text of --help.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/command.h"

namespace shoal::cli {
namespace {

constexpr std::size_t kNameWidth = 34;
constexpr std::size_t kLineWidth = 100;

// The help beside its name, broken at blanks into a column of its own.
std::string row(const std::string& name, std::string help) {
  std::string text = "  " + name;
  if (text.size() + 2 > kNameWidth) {
    text += "\n" + std::string(kNameWidth, ' ');
  } else {
    text.append(kNameWidth - text.size(), ' ');
  }
  constexpr std::size_t kRoom = kLineWidth - kNameWidth;
  while (help.size() > kRoom) {
    const std::size_t blank = help.rfind(' ', kRoom);
    if (blank == std::string::npos) break;
    text += help.substr(0, blank) + "\n" + std::string(kNameWidth, ' ');
    help.erase(0, blank + 1);
  }
  return text + help + "\n";
}

std::string option_row(const Option& option) {
  std::string name = option.name;
  if (!option.is_flag()) name += " " + option.type;
  std::string help = option.help;
  if (option.is_required) help += " (required)";
  if (!option.value.preset.empty()) help += fmt::format(" (default: {})", option.value.preset);
  if (option.value.again && !option.is_flag()) help += "; may be given again";
  return row(name, help);
}

}  // namespace

std::string Command::help() const {
  std::string text = about_ + "\n\nUsage: " + path_;
  for (const Option& option : options_) {
    if (option.is_required) text += " " + option.name + " " + option.type;
  }
  const bool choice = std::any_of(options_.begin(), options_.end(),
                                  [](const Option& option) { return !option.is_required; });
  if (choice || options_.empty()) text += " [OPTIONS]";
  for (const Operand& operand : operands_) text += " " + operand.type;
  if (!commands_.empty()) text += works_alone_ ? " [COMMAND]" : " COMMAND";
  text += "\n";
  if (!commands_.empty()) {
    text += "\nCommands:\n";
    for (const Command& command : commands_) {
      text += row(command.name(), command.about_.substr(0, command.about_.find('\n')));
    }
  }
  if (!operands_.empty()) {
    text += "\nArguments:\n";
    for (const Operand& operand : operands_) text += row(operand.type, operand.help);
  }
  std::vector<std::string> groups;
  for (const Option& option : options_) {
    if (!option.group.empty() && std::ranges::count(groups, option.group) == 0) {
      groups.push_back(option.group);
    }
  }
  for (const std::string& group : groups) {
    text += "\n" + group + ":\n";
    for (const Option& option : options_) {
      if (option.group == group) text += option_row(option);
    }
  }
  text += groups.empty() ? "\nOptions:\n" : "\nOther options:\n";
  for (const Option& option : options_) {
    if (option.group.empty()) text += option_row(option);
  }
  text += row("-h, --help", commands_.empty() ? "Print this help"
                                              : fmt::format("Print this help; of one command: {} "
                                                            "COMMAND --help",
                                                            path_));
  text += row("--version", "Print the version");
  if (!operands_.empty()) text += row("--", "What follows is no option, whatever it looks like");
  if (!footer_.empty()) text += "\n" + footer_ + "\n";
  if (!examples_.empty()) text += "\nExamples:\n";
  for (const auto& [about, line] : examples_) text += fmt::format("  # {}\n  {}\n", about, line);
  return text;
}

}  // namespace shoal::cli
