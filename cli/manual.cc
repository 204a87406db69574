// SPDX-License-Identifier: Apache-2.0
#include "cli/manual.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace shoal::cli {
namespace {

// A text as it stands: man(7) has a meaning of its own for backslashes, dashes, and dots that begin
// a line.
std::string in_troff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n')) {
      result += "\\&";
      result += c;
    } else {
      result += c;
    }
  }
  return result;
}

std::string bold(const std::string& text) { return "\\fB" + in_troff(text) + "\\fR"; }
std::string slanted(const std::string& text) { return "\\fI" + in_troff(text) + "\\fR"; }

std::string capitals(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// Lines that begin with blanks are shown as they are, others flow.
std::string paragraphs(const std::string& text) {
  std::string result;
  bool as_it_is = false;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const bool indented = line.starts_with(' ');
    if (indented != as_it_is) result += indented ? ".nf\n" : ".fi\n";
    as_it_is = indented;
    result += line.empty() ? ".PP\n" : in_troff(line) + "\n";
  }
  return as_it_is ? result + ".fi\n" : result;
}

std::string tagged(const std::string& head, const std::string& text) {
  return ".TP\n" + head + "\n" + in_troff(text) + "\n";
}

std::string tagged_option(const Option& option) {
  std::string head = bold(option.name);
  if (!option.is_flag()) head += " " + slanted(option.type);
  std::string help = option.help;
  if (option.is_required) help += " (required)";
  if (!option.value.preset.empty()) help += fmt::format(" (default: {})", option.value.preset);
  if (option.value.again && !option.is_flag()) help += "; may be given again";
  return tagged(head, help + ".");
}

std::string synopsis(const Command& command) {
  std::string line = bold(command.path());
  for (const Option& option : command.options()) {
    if (option.is_required) line += " " + bold(option.name) + " " + slanted(option.type);
  }
  if (!command.options().empty()) line += " [" + slanted("OPTIONS") + "]";
  for (const Operand& operand : command.operands()) line += " " + slanted(operand.type);
  if (!command.commands().empty()) {
    const std::string inner = slanted("COMMAND");
    line += command.is_called_alone() ? " [" + inner + "]" : " " + inner;
  }
  return line + "\n";
}

// A command with all that it takes, then the commands of it.
std::string command_section(const Command& command) {
  std::string text = ".SS " + in_troff(command.path()) + "\n" + synopsis(command) + ".PP\n";
  text += paragraphs(command.about());
  for (const Operand& operand : command.operands()) {
    text += tagged(slanted(operand.type), operand.help + ".");
  }
  std::vector<std::string> groups = {""};
  for (const Option& option : command.options()) {
    if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
  }
  for (const std::string& group : groups) {
    if (!group.empty()) text += ".PP\n" + in_troff(group) + ":\n";
    for (const Option& option : command.options()) {
      if (option.group == group) text += tagged_option(option);
    }
  }
  if (!command.footer_text().empty()) text += ".PP\n" + paragraphs(command.footer_text());
  if (!command.examples().empty()) text += ".PP\nExamples:\n.nf\n";
  for (const auto& [about, line] : command.examples()) {
    text += fmt::format("  # {}\n  {}\n", in_troff(about), in_troff(line));
  }
  if (!command.examples().empty()) text += ".fi\n";
  for (const Command& inner : command.commands()) text += command_section(inner);
  return text;
}

std::string settings_section(const Settings& settings, const Option& example) {
  return ".SH CONFIGURATION\n" +
         in_troff(fmt::format(
             "Every option of a command that has --config may stand in a file, as KEY = VALUE, "
             "with its name without the dashes: a text in quotes, a number, true or false for an "
             "option without a value, a list for one that may be given again. What stands under "
             "[COMMAND] is for that command alone. It may also be a variable of the environment: "
             "{} is {}; lists are divided by blanks. What is typed counts more than a variable, a "
             "variable more than the file.",
             variable_of(settings.prefix, example.name), example.name)) +
         "\n.SH FILES\n" +
         tagged(slanted("~/.config/shoal/" + settings.file_name),
                "Read when --config names no other file.") +
         tagged(slanted("/etc/shoal/" + settings.file_name), "Read when that one does not exist.");
}

const Option* example_of(const Command& command) {
  if (command.find_option("--config") != nullptr) return &command.options().front();
  for (const Command& inner : command.commands()) {
    if (const Option* found = example_of(inner)) return found;
  }
  return nullptr;
}

}  // namespace

std::string man_page(const Command& program, const std::string& version, const Settings& settings) {
  const std::string& about = program.about();
  std::string first = about.substr(0, about.find('\n'));
  if (first.ends_with('.')) first.pop_back();
  std::string text = fmt::format(".TH \"{}\" 1 \"\" \"{}\" \"Shoal\"\n",
                                 in_troff(capitals(program.name())), in_troff(version));
  text += ".SH NAME\n" + in_troff(program.name()) + " \\- " + in_troff(first) + "\n";
  text += ".SH SYNOPSIS\n";
  for (const Command& command : program.commands()) text += synopsis(command) + ".br\n";
  text += bold(program.path()) + " " + bold("--help") + " | " + bold("--version") + "\n";
  text += ".SH DESCRIPTION\n" + paragraphs(about);
  text += ".SH COMMANDS\n" + in_troff("Each takes --help.") + "\n";
  for (const Command& command : program.commands()) text += command_section(command);
  const Option* example = example_of(program);
  if (!settings.prefix.empty() && example != nullptr) text += settings_section(settings, *example);
  if (!program.footer_text().empty()) {
    text += ".SH NOTES\n" + paragraphs(program.footer_text());
  }
  return text;
}

}  // namespace shoal::cli
