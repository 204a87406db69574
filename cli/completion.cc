// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "cli/usage.h"

namespace shoal::cli {
namespace {

// What follows an option or is an operand.
enum class Kind { kWords, kFile, kFolder, kText };

Kind kind_of(const std::string& type, const Value& value) {
  if (!value.words.empty()) return Kind::kWords;
  if (type.starts_with("FILE")) return Kind::kFile;
  return type == "DIR" || type == "MODEL" ? Kind::kFolder : Kind::kText;
}

void for_each(const Command& command, const std::function<void(const Command&)>& visit) {
  visit(command);
  for (const Command& inner : command.commands()) for_each(inner, visit);
}

std::string replaced(std::string text, char what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, 1, by);
  }
  return text;
}

// Between single quotes of a shell.
std::string in_quotes(const std::string& text) { return "'" + replaced(text, '\'', "'\\''") + "'"; }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string identifier(std::string text) {
  for (char& c : text) {
    if (c == ' ' || c == '-') c = '_';
  }
  return text;
}

std::string bash_reply(Kind kind, const std::vector<std::string>& words) {
  switch (kind) {
    case Kind::kWords:
      return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", fmt::join(words, " "));
    case Kind::kFile:
      return "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$word\"))";
    case Kind::kFolder:
      return "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$word\"))";
    case Kind::kText:
      break;
  }
  return "COMPREPLY=()";
}

std::string bash(const Command& program) {
  std::string commands;
  std::string values;
  std::string words;
  for_each(program, [&](const Command& command) {
    std::vector<std::string> offered = command.command_names();
    for (const Command& inner : command.commands()) {
      commands += fmt::format("      '{}') command+=\" ${{COMP_WORDS[i]}}\" ;;\n", inner.path());
    }
    for (const Option& option : command.options()) {
      offered.push_back(option.name);
      if (option.is_flag()) continue;
      values += fmt::format("    '{} {}') {}; return ;;\n", command.path(), option.name,
                            bash_reply(kind_of(option.type, option.value), option.value.words));
    }
    offered.insert(offered.end(), {"--help", "--version"});
    words += fmt::format("    '{}') words='{}' ;;\n", command.path(), fmt::join(offered, " "));
    if (!command.operands().empty()) {
      const Operand& operand = command.operands().front();
      words += fmt::format("    '{} operand') {} ;;\n", command.path(),
                           bash_reply(kind_of(operand.type, operand.value), operand.value.words));
    }
  });
  return fmt::format(
      R"(# Completion of {0} for bash, made by {0} --completion bash.
{1}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before='' command={0} words='' i
  ((COMP_CWORD > 0)) && before=${{COMP_WORDS[COMP_CWORD - 1]}}
  # bash takes --name=value apart.
  if [[ $word == '=' ]]; then
    word=''
  elif [[ $before == '=' ]] && ((COMP_CWORD > 1)); then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${{COMP_WORDS[i]}}" in
{2}    esac
  done
  COMPREPLY=()
  case "$command $before" in
{3}  esac
  [[ $word == -* ]] || case "$command operand" in
{4}  esac
  case $command in
{4}  esac
  COMPREPLY+=($(compgen -W "$words" -- "$word"))
}}
complete -F {1} {0}
)",
      program.name(), "_" + identifier(program.name()), commands, values, words);
}

// A text within _arguments' brackets and colons.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return replaced(result, '\'', "'\\''");
}

std::string zsh_action(Kind kind, const std::vector<std::string>& words) {
  switch (kind) {
    case Kind::kWords:
      return fmt::format("({})", fmt::join(words, " "));
    case Kind::kFile:
      return "_files";
    case Kind::kFolder:
      return "_files -/";
    case Kind::kText:
      break;
  }
  return " ";
}

std::string zsh_function(const Command& command) {
  const std::string name = "_" + identifier(command.path());
  std::string text = name + "() {\n  local context state line\n  _arguments -C \\\n";
  for (const Option& option : command.options()) {
    const std::string again = option.value.again ? "*" : "";
    text += fmt::format("    '{}{}[{}]", again, option.name, zsh_text(first_line(option.help)));
    if (!option.is_flag()) {
      text += fmt::format(":{}:{}", zsh_text(option.type),
                          zsh_action(kind_of(option.type, option.value), option.value.words));
    }
    text += "' \\\n";
  }
  text += "    '(- *)--help[Print help]' '(- *)--version[Print the version]'";
  for (const Operand& operand : command.operands()) {
    text += fmt::format(" \\\n    ':{}:{}'", zsh_text(operand.type),
                        zsh_action(kind_of(operand.type, operand.value), operand.value.words));
  }
  if (command.commands().empty()) return text + "\n}\n";
  text +=
      " \\\n    '1:command:->command' '*::argument:->argument'\n  case $state in\n    command)\n";
  text += "      local -a commands=(\n";
  for (const Command& inner : command.commands()) {
    text += fmt::format("        '{}:{}'\n", inner.name(), zsh_text(first_line(inner.about())));
  }
  text += "      )\n      _describe command commands ;;\n    argument)\n      case $line[1] in\n";
  for (const Command& inner : command.commands()) {
    text += fmt::format("        {}) _{} ;;\n", inner.name(), identifier(inner.path()));
  }
  return text + "      esac ;;\n  esac\n}\n";
}

std::string zsh(const Command& program) {
  std::string text = fmt::format(
      "#compdef {0}\n# Completion of {0} for zsh, made by {0} "
      "--completion zsh.\n",
      program.name());
  for_each(program, [&](const Command& command) { text += zsh_function(command); });
  const std::string name = "_" + identifier(program.name());
  // Loaded as a function of the file's name, or read as a file.
  return text + fmt::format(
                    "if [ \"$funcstack[1]\" = _{0} ]; then {1} \"$@\"; else compdef {1} {0}; "
                    "fi\n",
                    program.name(), name);
}

// When a command of fish's line is the one that is being written.
std::string fish_condition(const Command& program, const Command& command) {
  std::string names = command.path().substr(program.path().size());
  std::string condition;
  for (std::size_t at = 0; at < names.size();) {
    const std::size_t end = std::min(names.find(' ', at + 1), names.size());
    condition += fmt::format("{}__fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ",
                             names.substr(at + 1, end - at - 1));
    at = end;
  }
  if (!command.commands().empty()) {
    condition +=
        fmt::format("{}not __fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ",
                    fmt::join(command.command_names(), " "));
  }
  return condition;
}

std::string fish(const Command& program) {
  std::string text = fmt::format(
      "# Completion of {0} for fish, made by {0} --completion fish.\n"
      "complete -c {0} -f\n",
      program.name());
  const auto line = [&](const std::string& condition, const std::string& rest,
                        const std::string& about) {
    text += fmt::format("complete -c {}{} {} -d {}\n", program.name(),
                        condition.empty() ? "" : " -n " + in_quotes(condition), rest,
                        in_quotes(replaced(first_line(about), '\\', "\\\\")));
  };
  for_each(program, [&](const Command& command) {
    const std::string condition = fish_condition(program, command);
    for (const Command& inner : command.commands()) {
      line(condition, "-a " + inner.name(), inner.about());
    }
    for (const Option& option : command.options()) {
      std::string rest = "-l " + option.key();
      const Kind kind = kind_of(option.type, option.value);
      if (!option.is_flag())
        rest += kind == Kind::kFile || kind == Kind::kFolder ? " -r -F" : " -x";
      if (kind == Kind::kWords) {
        rest += fmt::format(" -a '{}'", fmt::join(option.value.words, " "));
      }
      line(condition, rest, option.help);
    }
    for (const Operand& operand : command.operands()) {
      if (kind_of(operand.type, operand.value) == Kind::kFile) line(condition, "-F", operand.help);
    }
  });
  line("", "-l help", "Print help");
  line("", "-l version", "Print the version");
  return text;
}

}  // namespace

absl::StatusOr<std::string> completion(const Command& program, const std::string& shell) {
  if (shell == "bash") return bash(program);
  if (shell == "zsh") return zsh(program);
  if (shell == "fish") return fish(program);
  return usage_error("--completion takes bash, zsh or fish");
}

}  // namespace shoal::cli
