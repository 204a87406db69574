// SPDX-License-Identifier: Apache-2.0
// A program's command line, described: commands, the options of each, and what stands between
// them. Reading one (invoke) has no effect but on the variables that the values name; texts are
// taken as they were typed, with no syntax inside a value.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/settings.h"
#include "cli/value.h"

namespace shoal::cli {

struct Option {
  std::string name;  // "--seed"
  std::string type;  // "N"; empty: a flag, which takes no value
  std::string help;
  Value value;
  bool is_required = false;
  std::string group = {};  // under which heading it is shown; empty: Options
  // Texts behind a separate value that are more values of this option: `--join A B`. The last of
  // them is the command's operand when it has none otherwise.
  std::function<bool(const std::string&)> more;
  // Another option that says the same in another way: whichever counts more (cli/settings.h) hides
  // the other.
  std::string rival = {};

  Option& required() {
    is_required = true;
    return *this;
  }
  bool is_flag() const { return type.empty(); }
  std::string key() const { return name.substr(name.find_first_not_of('-')); }  // "seed"
};

struct Operand {
  std::string type;  // "PROMPT|-"
  std::string help;
  Value value;
  bool is_required = false;
  std::string what;     // "the prompt"
  std::string way_out;  // for several: "put quotes around it"
};

class Command {
 public:
  Command(std::string path, std::string about);
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  Command& command(const std::string& name, std::string about);
  Option& option(std::string name, std::string type, std::string help, Value value);
  Option& flag(std::string name, bool& where, std::string help);
  // Options from here on are shown under this heading.
  void group(std::string heading) { group_ = std::move(heading); }
  void operand(Operand operand);
  // It does something without one of its commands too.
  void works_alone() { works_alone_ = true; }
  // It looks ahead at what another command does, and reads that one's table of the file after its
  // own.
  void reads_table_of(std::string command) { other_table_ = std::move(command); }
  void footer(std::string text) { footer_ = std::move(text); }
  // Shown last, as somebody would type it.
  void example(std::string about, std::string line);
  // What somebody may have looked for here, and where it is: ("run", "it is a command of ...").
  void elsewhere(std::string word, std::string answer);

  const std::string& path() const { return path_; }  // "shoal generate"
  std::string name() const { return path_.substr(path_.rfind(' ') + 1); }
  const std::string& about() const { return about_; }
  const std::string& footer_text() const { return footer_; }
  const std::vector<std::pair<std::string, std::string>>& examples() const { return examples_; }
  std::string help() const;
  const std::string& other_table() const { return other_table_; }  // empty: none
  bool is_called_alone() const { return works_alone_ || commands_.empty(); }

  const std::list<Command>& commands() const { return commands_; }
  const std::list<Option>& options() const { return options_; }
  const std::vector<Operand>& operands() const { return operands_; }
  const Command* find_command(const std::string& name) const;
  const Option* find_option(const std::string& name) const;
  // Empty when the word is unknown.
  std::string answer_for(const std::string& word) const;
  std::vector<std::string> command_names() const;
  std::vector<std::string> option_names() const;

 private:
  std::string path_;
  std::string about_;
  std::string footer_;
  std::string group_;
  std::vector<std::pair<std::string, std::string>> examples_;  // about, line
  bool works_alone_ = false;
  std::string other_table_;
  std::list<Command> commands_;  // lists: references to its items stay good
  std::list<Option> options_;
  std::vector<Operand> operands_;
  std::vector<std::pair<std::string, std::string>> elsewhere_;
};

// An option that has a value now.
struct Given {
  const Option* option = nullptr;
  std::vector<std::string> texts;  // a flag has none
  std::string where;               // file and line, or variable; empty: typed
};

struct Invocation {
  const Command* command = nullptr;  // the one that was called
  std::string print;                 // not empty: --help or --version, and nothing else to do
  std::size_t operands = 0;          // how many were given
  std::vector<Given> given = {};     // in no order
};

// Usage errors: one line that names what was typed (or the file and line where it stands) and the
// way out. Beside --help and --version it knows, for those who make packages, --help-man and
// --completion SHELL of the whole program.
absl::StatusOr<Invocation> invoke(const Command& program, const std::string& version,
                                  const std::vector<std::string>& arguments,
                                  const Settings& settings = {});

// An error about options, which its text names: says of each that was not typed where it is from.
absl::Status with_origins(const absl::Status& status, const Invocation& called);

}  // namespace shoal::cli
