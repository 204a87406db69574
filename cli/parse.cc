// SPDX-License-Identifier: Apache-2.0
// invoke(): reads a command line from left to right. The first mistake is the one that is told,
// unless help is asked for.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/given_settings.h"
#include "cli/manual.h"
#include "cli/shown.h"
#include "cli/suggest.h"
#include "cli/usage.h"

namespace shoal::cli {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// "--name", "--name=...", "-x": a letter behind the dashes, and no blank in the name. "-5 degrees",
// "- item" and "--- title" are texts.
bool looks_like_option(const std::string& argument) {
  const std::size_t dashes = argument.find_first_not_of('-');
  if (dashes != 1 && dashes != 2) return false;
  if (!is_letter(argument[dashes])) return false;
  const std::string_view name = std::string_view(argument).substr(0, argument.find('='));
  return std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// Word processors make one long dash of two.
std::optional<std::string> without_long_dash(const std::string& argument) {
  for (const char* dash : {"\u2014", "\u2013", "\u2212"}) {
    if (argument.starts_with(dash)) {
      std::string rest = argument.substr(std::string(dash).size());
      while (rest.starts_with('-')) rest.erase(0, 1);
      return "--" + rest.substr(0, rest.find('='));
    }
  }
  return std::nullopt;
}

bool asks_for_help(const std::string& argument) { return argument == "--help" || argument == "-h"; }

class Reader {
 public:
  Reader(const Command& program, const std::vector<std::string>& arguments,
         const Settings& settings)
      : command_(&program), program_(program), arguments_(arguments), settings_(settings) {}

  absl::StatusOr<Invocation> read(const std::string& version) {
    bool only_texts = false;
    while (at_ < arguments_.size()) {
      const std::string& argument = arguments_[at_++];
      if (only_texts || (argument != "--" && !looks_like_option(argument))) {
        take_text(argument);
      } else if (argument == "--") {
        only_texts = true;
        more_of_ = nullptr;
      } else if (asks_for_help(argument)) {
        help_ = true;
      } else if (argument == "--version") {
        version_ = true;
      } else {
        take_option(argument);
      }
    }
    if (lost_) return error_;
    if (help_) return Invocation{command_, command_->help(), 0};
    if (version_) return Invocation{command_, version + "\n", 0};
    finish();
    if (!error_.ok()) return error_;
    return Invocation{command_, "", texts_.size(), std::move(given_)};
  }

 private:
  struct Text {
    std::string text;
    const Option* more_of;  // it may be one more value of this option
  };

  void fail(absl::Status status) {
    if (error_.ok()) error_ = std::move(status);
  }
  void mistake(const std::string& text) {
    fail(usage_error(fmt::format("{} (see {} --help)", text, command_->path())));
  }

  void take_text(const std::string& argument) {
    if (lost_) return;
    if (command_->commands().empty()) {
      if (const auto meant = without_long_dash(argument); meant && command_->find_option(*meant)) {
        mistake(fmt::format("{} begins with a long dash: write {}", shown(argument), *meant));
      }
      if (more_of_ != nullptr && !more_of_->more(argument)) more_of_ = nullptr;
      if (more_of_ != nullptr && command_->operands().empty()) {
        return take_more(*more_of_, argument);
      }
      texts_.push_back({argument, more_of_});
      return;
    }
    if (argument == "help") {
      help_ = true;
      return;
    }
    if (const Command* found = command_->find_command(argument)) {
      command_ = found;
      return;
    }
    const std::string answer = command_->answer_for(argument);
    const std::string meant = did_you_mean(argument, command_->command_names());
    if (!answer.empty()) {
      fail(usage_error(
          fmt::format("{} is not a command of {}: {}", shown(argument), command_->path(), answer)));
    } else {
      mistake(fmt::format("{} is not a command of {}{}", shown(argument), command_->path(),
                          !meant.empty() ? meant : ": use " + either(command_->command_names())));
    }
    lost_ = true;
  }

  void take_option(const std::string& argument) {
    more_of_ = nullptr;
    if (lost_) return;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const Option* option = command_->find_option(name);
    if (option == nullptr) return unknown_option(name);
    if (option->is_flag()) {
      if (equals != std::string::npos) {
        mistake(fmt::format("{} takes no value, but got {}: write {} alone", name,
                            shown(argument.substr(equals + 1)), name));
      } else {
        note(*option);
        fail(option->value.take(name, ""));
      }
      return;
    }
    if (equals != std::string::npos) return take_value(*option, argument.substr(equals + 1));
    if (at_ == arguments_.size()) {
      return mistake(fmt::format("{} needs a value: {} {}", name, name, option->type));
    }
    const std::string& value = arguments_[at_];
    if (asks_for_help(value) && !(value == "-h" && option->value.any_text)) return;
    // A value that is the name of an option is most likely a forgotten value.
    const bool is_option = command_->find_option(value.substr(0, value.find('='))) != nullptr;
    if (value == "--version" ||
        (is_option && (value.find('=') == std::string::npos || !option->value.any_text))) {
      return mistake(fmt::format(
          "{} needs a value, but is followed by the option {}{}", name, value,
          option->value.any_text ? fmt::format(": if that is the text, write {}={}", name, value)
                                 : fmt::format(": write {} {}", name, option->type)));
    }
    if (value == "--" && !option->value.any_text) {
      return mistake(fmt::format("{} needs a value: {} {}", name, name, option->type));
    }
    ++at_;
    take_value(*option, value);
    if (option->more) more_of_ = option;
  }

  void take_value(const Option& option, const std::string& text) {
    Given& given = note(option);
    if (!given.texts.empty() && !option.value.again) {
      if (given.texts.front() == text) return;
      return fail(usage_error(fmt::format("{} is given twice, as {} and as {}: give it once",
                                          option.name, shown(given.texts.front()), shown(text))));
    }
    take_more(option, text);
  }

  void take_more(const Option& option, const std::string& text) {
    note(option).texts.push_back(text);
    fail(option.value.take(option.name, text));
  }

  Given& note(const Option& option) {
    const auto found = std::ranges::find(given_, &option, &Given::option);
    return found != given_.end() ? *found : given_.emplace_back(Given{&option, {}, ""});
  }

  void unknown_option(const std::string& name) {
    std::vector<std::string> known = command_->option_names();
    known.insert(known.end(), {"--help", "--version"});
    const std::string meant = did_you_mean(name, known);
    const auto owners = commands_with(name);
    if (!command_->commands().empty() && !owners.empty()) {
      return mistake(
          fmt::format("{} goes behind the command: {} {}", name, owners.front()->path(), name));
    }
    if (!owners.empty()) {
      std::vector<std::string> names;
      names.reserve(owners.size());
      for (const Command* owner : owners) names.push_back(owner->name());
      return mistake(fmt::format("{} is an option of {}, not of {}", name, either(names, "and"),
                                 command_->name()));
    }
    const std::string answer = command_->answer_for(name);
    const bool takes_text =
        !command_->operands().empty() && command_->operands().front().value.any_text;
    mistake(fmt::format("unknown option {}{}", shown_name(name),
                        !answer.empty()  ? ": " + answer
                        : !meant.empty() ? meant
                        : takes_text     ? ": a text that begins with a dash goes behind --"
                                         : ""));
  }

  static std::string shown_name(const std::string& name) {
    return name.size() <= 40 ? name : shown(name);
  }

  // Of the whole program: commands that know this option.
  std::vector<const Command*> commands_with(const std::string& name) const {
    std::vector<const Command*> found;
    for (const Command& command : program_.commands()) {
      if (command.find_option(name) != nullptr) found.push_back(&command);
    }
    return found;
  }

  void finish() {
    if (!error_.ok()) return;
    if (!command_->is_called_alone()) {
      return mistake(fmt::format("a subcommand is needed: {}", either(command_->command_names())));
    }
    spread_texts();
    if (!error_.ok()) return;
    fail(take_settings(program_, *command_, settings_, given_));
    if (!error_.ok()) return;
    for (const Option& option : command_->options()) {
      if (option.is_required && !is_given(given_, option.name)) {
        mistake(fmt::format("{} is missing: give {} {}", option.name, option.name, option.type));
      }
    }
    const auto& operands = command_->operands();
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (i < texts_.size()) {
        fail(operands[i].value.take(operands[i].what, texts_[i].text));
      } else if (operands[i].is_required) {
        mistake(fmt::format("{} is missing: {} {}", operands[i].what, command_->path(),
                            operands[i].type));
      }
    }
  }

  // Texts behind an option that takes several go to it, as long as there are more than operands.
  void spread_texts() {
    const std::size_t room = command_->operands().size();
    std::size_t too_many = texts_.size() > room ? texts_.size() - room : 0;
    std::vector<Text> kept;
    for (Text& text : texts_) {
      if (too_many > 0 && text.more_of != nullptr) {
        take_more(*text.more_of, text.text);
        --too_many;
      } else {
        kept.push_back(std::move(text));
      }
    }
    texts_ = std::move(kept);
    if (too_many == 0) return;
    if (room == 0) {
      const Option* taker = nullptr;
      for (const Option& option : command_->options()) {
        if (option.more && option.more(texts_.front().text)) taker = &option;
      }
      const std::string text = shown(texts_.front().text);
      return mistake(
          taker != nullptr
              ? fmt::format("unexpected {}: write {} {}", text, taker->name, texts_.front().text)
              : fmt::format("unexpected {}: {} takes options only", text, command_->name()));
    }
    const Operand& operand = command_->operands().back();
    constexpr std::size_t kMostShown = 4;
    std::string list;
    for (std::size_t i = 0; i < std::min(texts_.size(), kMostShown); ++i) {
      list += (i == 0 ? "" : " ") + shown(texts_[i].text);
    }
    if (texts_.size() > kMostShown) list += " ...";
    mistake(fmt::format("{} is one argument, but there are {}: {}: {}", operand.what, texts_.size(),
                        list, operand.way_out));
  }

  const Command* command_;
  const Command& program_;
  const std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  absl::Status error_;
  bool help_ = false;
  bool version_ = false;
  bool lost_ = false;  // the command is unknown: what follows cannot be judged
  const Option* more_of_ = nullptr;
  std::vector<Text> texts_;
  std::vector<Given> given_;
  const Settings& settings_;
};

}  // namespace

absl::StatusOr<Invocation> invoke(const Command& program, const std::string& version,
                                  const std::vector<std::string>& arguments,
                                  const Settings& settings) {
  if (arguments.size() == 1 && arguments[0] == "--help-man") {
    return Invocation{&program, man_page(program, version, settings)};
  }
  if (arguments.size() == 2 && arguments[0] == "--completion") {
    auto script = completion(program, arguments[1]);
    if (!script.ok()) return script.status();
    return Invocation{&program, *std::move(script)};
  }
  return Reader(program, arguments, settings).read(version);
}

}  // namespace shoal::cli
