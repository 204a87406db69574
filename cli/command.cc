// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <algorithm>

namespace shoal::cli {
namespace {

template <typename Items>
auto find(const Items& items, const std::string& name) -> decltype(&items.front()) {
  for (const auto& item : items) {
    if constexpr (requires { item.type; }) {
      if (item.name == name) return &item;
    } else {
      if (item.name() == name) return &item;
    }
  }
  return nullptr;
}

}  // namespace

Command::Command(std::string path, std::string about)
    : path_(std::move(path)), about_(std::move(about)) {}

Command& Command::command(const std::string& name, std::string about) {
  return commands_.emplace_back(path_ + " " + name, std::move(about));
}

Option& Command::option(std::string name, std::string type, std::string help, Value value) {
  Option option;
  option.name = std::move(name);
  option.type = std::move(type);
  option.help = std::move(help);
  option.value = std::move(value);
  option.group = group_;
  return options_.emplace_back(std::move(option));
}

Option& Command::flag(std::string name, bool& where, std::string help) {
  Value value;
  value.again = true;
  value.take = [&where](const std::string&, const std::string&) {
    where = true;
    return absl::OkStatus();
  };
  return option(std::move(name), "", std::move(help), std::move(value));
}

void Command::operand(Operand operand) { operands_.push_back(std::move(operand)); }

void Command::example(std::string about, std::string line) {
  examples_.emplace_back(std::move(about), std::move(line));
}

void Command::elsewhere(std::string word, std::string answer) {
  elsewhere_.emplace_back(std::move(word), std::move(answer));
}

const Command* Command::find_command(const std::string& name) const {
  return find(commands_, name);
}

const Option* Command::find_option(const std::string& name) const { return find(options_, name); }

std::string Command::answer_for(const std::string& word) const {
  const auto found = std::find_if(elsewhere_.begin(), elsewhere_.end(),
                                  [&](const auto& item) { return item.first == word; });
  return found == elsewhere_.end() ? "" : found->second;
}

std::vector<std::string> Command::command_names() const {
  std::vector<std::string> names;
  for (const Command& command : commands_) names.push_back(command.name());
  return names;
}

std::vector<std::string> Command::option_names() const {
  std::vector<std::string> names;
  for (const Option& option : options_) names.push_back(option.name);
  return names;
}

}  // namespace shoal::cli
