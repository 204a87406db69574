// SPDX-License-Identifier: Apache-2.0
#include "cli/given_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/shown.h"
#include "cli/suggest.h"
#include "cli/usage.h"

namespace shoal::cli {
namespace {

constexpr const char* kConfig = "--config";
constexpr const char* kNoFile = "off";
// A variable this near to one that we know is a slip; others may be somebody else's (Kubernetes
// makes SHOAL_NODE_PORT of a service that is called shoal-node).
constexpr std::size_t kSlip = 1;

std::string message_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

std::optional<bool> switch_of(const std::string& text) {
  for (const char* word : {"1", "true", "yes", "on"}) {
    if (text == word) return true;
  }
  for (const char* word : {"0", "false", "no", "off"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t\n", at)) != std::string::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

const Option* option_called(const Command& command, const std::string& key) {
  return command.find_option("--" + key);
}

// All that some command of the program takes.
void add_keys(const Command& command, std::vector<std::string>& keys) {
  for (const Option& option : command.options()) {
    const bool is_new = std::ranges::find(keys, option.key()) == keys.end();
    if (is_new && option.name != kConfig) keys.push_back(option.key());
  }
  for (const Command& inner : command.commands()) add_keys(inner, keys);
}

class Taker {
 public:
  Taker(const Command& program, const Command& command, const Settings& settings,
        std::vector<Given>& given)
      : program_(program), command_(command), settings_(settings), given_(given) {}

  absl::Status take() {
    if (command_.find_option(kConfig) == nullptr) return absl::OkStatus();
    if (absl::Status taken = take_variables(); !taken.ok()) return taken;
    auto file = read_file();
    if (!file.ok()) return file.status();
    return take_file(*file);
  }

 private:
  // What counts more has said it already, in this way or another.
  static bool is_settled(const std::vector<Given>& above, const Option& option) {
    return is_given(above, option.name) || (!option.rival.empty() && is_given(above, option.rival));
  }

  absl::Status give(const Option& option, const std::vector<std::string>& texts,
                    const std::string& where, const std::string& name) {
    given_.push_back({&option, texts, where});
    if (option.is_flag()) return option.value.take(name, "");
    for (const std::string& text : texts) {
      if (absl::Status taken = option.value.take(name, text); !taken.ok()) return taken;
    }
    return absl::OkStatus();
  }

  absl::Status take_variables() {
    const std::vector<Given> above = given_;
    std::vector<std::string> known;
    std::vector<std::string> keys;
    add_keys(program_, keys);
    keys.push_back("config");
    known.reserve(keys.size());
    for (const std::string& key : keys) known.push_back(variable_of(settings_.prefix, key));
    for (const auto& [name, value] : settings_.variables) {
      if (value.empty()) continue;
      if (std::ranges::find(known, name) == known.end()) {
        for (const std::string& one : known) {
          if (edit_distance(name, one) > kSlip) continue;
          return usage_error(
              fmt::format("the variable {} is unknown: did you mean {}?", printable(name), one));
        }
        continue;
      }
      for (const Option& option : command_.options()) {
        if (variable_of(settings_.prefix, option.name) != name || is_settled(above, option)) {
          continue;
        }
        if (absl::Status taken = take_variable(option, name, value); !taken.ok()) return taken;
      }
    }
    return absl::OkStatus();
  }

  absl::Status take_variable(const Option& option, const std::string& name,
                             const std::string& value) {
    if (option.is_flag()) {
      const auto on = switch_of(value);
      if (!on) {
        return usage_error(fmt::format("{} is {}, but must be true or false", name, shown(value)));
      }
      return *on ? give(option, {}, name, name) : absl::OkStatus();
    }
    // Addresses and names have no blanks; texts may.
    if (option.value.again && !option.value.any_text) {
      return give(option, words_of(value), name, name);
    }
    return give(option, {value}, name, name);
  }

  absl::StatusOr<std::vector<Setting>> read_file() const {
    for (const Given& one : given_) {
      if (one.option->name != kConfig) continue;
      if (one.texts.front() == kNoFile) return std::vector<Setting>();
      return read_settings_file(one.texts.front());
    }
    for (const std::string& path : settings_.files) {
      auto file = read_settings_file(path);
      if (!absl::IsNotFound(file.status())) return file;
    }
    return std::vector<Setting>();
  }

  absl::Status take_file(const std::vector<Setting>& file) {
    for (const Setting& setting : file) {
      if (absl::Status known = check_key(setting); !known.ok()) return known;
    }
    const std::vector<Given> above = given_;
    // A table for this command counts more than what stands above all tables.
    std::vector<std::string> tables = {command_.name()};
    if (!command_.other_table().empty()) tables.push_back(command_.other_table());
    tables.emplace_back();
    for (const std::string& table : tables) {
      for (const Setting& setting : file) {
        if (setting.table != table || setting.key.empty()) continue;
        const Option* option = option_called(command_, setting.key);
        if (option == nullptr || is_settled(above, *option) || is_given(given_, option->name)) {
          continue;
        }
        if (absl::Status taken = take_setting(*option, setting); !taken.ok()) return taken;
      }
    }
    return absl::OkStatus();
  }

  absl::Status check_key(const Setting& setting) const {
    const Command* owner = &program_;
    if (!setting.table.empty()) {
      owner = program_.find_command(setting.table);
      if (owner == nullptr) {
        return usage_error(fmt::format("{}: [{}] is no command of {}{}", setting.where,
                                       printable(setting.table), program_.path(),
                                       did_you_mean(setting.table, program_.command_names())));
      }
    }
    if (setting.key.empty()) return absl::OkStatus();
    std::vector<std::string> keys;
    add_keys(*owner, keys);
    if (std::ranges::find(keys, setting.key) != keys.end()) return absl::OkStatus();
    const std::string meant = did_you_mean(setting.key, keys);
    return usage_error(
        fmt::format("{}: {} is no option of {}{}", setting.where, shown(setting.key), owner->path(),
                    meant.empty() ? fmt::format(" (see {} --help)", command_.path()) : meant));
  }

  absl::Status take_setting(const Option& option, const Setting& setting) {
    const std::string name = fmt::format("{}: {}", setting.where, setting.key);
    if (option.is_flag()) {
      if (!setting.on) return usage_error(fmt::format("{} must be true or false", name));
      return *setting.on ? give(option, {}, setting.where, name) : absl::OkStatus();
    }
    if (setting.on) {
      return usage_error(fmt::format("{} is {}, but takes a value: {} = \"{}\"", name, *setting.on,
                                     setting.key, option.type));
    }
    if (setting.is_list && !option.value.again) {
      return usage_error(fmt::format("{} is a list, but takes one value: {} = \"{}\"", name,
                                     setting.key, option.type));
    }
    if (setting.texts.empty()) return absl::OkStatus();
    return give(option, setting.texts, setting.where, name);
  }

  const Command& program_;
  const Command& command_;
  const Settings& settings_;
  std::vector<Given>& given_;
};

// "--join" in a text, but not in "--join-timeout".
bool names_option(const std::string& text, const std::string& option) {
  for (std::size_t at = 0; (at = text.find(option, at)) != std::string::npos; ++at) {
    const std::size_t end = at + option.size();
    const char next = end < text.size() ? text[end] : ' ';
    const bool goes_on = next == '-' || (next >= 'a' && next <= 'z');
    if (!goes_on) return true;
  }
  return false;
}

}  // namespace

bool is_given(const std::vector<Given>& given, const std::string& option) {
  return std::ranges::any_of(given, [&](const Given& one) { return one.option->name == option; });
}

absl::Status take_settings(const Command& program, const Command& command, const Settings& settings,
                           std::vector<Given>& given) {
  return Taker(program, command, settings, given).take();
}

absl::Status with_origins(const absl::Status& status, const Invocation& called) {
  if (status.ok()) return status;
  const std::string text = message_of(status);
  std::string origins;
  for (const Given& one : called.given) {
    if (one.where.empty() || !names_option(text, one.option->name)) continue;
    origins +=
        fmt::format("{}{} is from {}", origins.empty() ? "" : "; ", one.option->name, one.where);
  }
  if (origins.empty()) return status;
  const std::string told = fmt::format("{} ({})", text, origins);
  return is_usage_error(status) ? usage_error(told) : absl::Status(status.code(), told);
}

}  // namespace shoal::cli
