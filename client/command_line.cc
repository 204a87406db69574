// SPDX-License-Identifier: Apache-2.0
#include "client/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "proto/endpoint.h"

namespace shoal::client {
namespace {

constexpr const char* kCommands[] = {"generate", "score", "status", "swarm"};
constexpr int kMaxThreads = 1024;
constexpr std::int64_t kMaxTokens = 1'000'000;

// Reads "a:1" as one more address behind --join, so that `--join A B` works; a prompt is hardly
// ever HOST:PORT.
bool is_address(const std::string& text) { return proto::parse_host_port(text).ok(); }

bool is_negative_number(const std::string& text) {
  return text.size() > 1 && text[0] == '-' &&
         (std::isdigit(static_cast<unsigned char>(text[1])) || text[1] == '.');
}

// What CLI11 would take amiss: several addresses after one --join, and negative values (so that the
// error can name the option's range).
std::vector<std::string> normalized(const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      result.insert(result.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i),
                    arguments.end());
      break;
    }
    const bool long_option = argument.starts_with("--") && argument.find('=') == std::string::npos;
    if (argument == "--join") {
      if (i + 1 < arguments.size()) result.push_back("--join=" + arguments[++i]);
      while (i + 1 < arguments.size() && is_address(arguments[i + 1])) {
        result.push_back("--join=" + arguments[++i]);
      }
      if (result.empty() || !result.back().starts_with("--join=")) result.push_back(argument);
    } else if (long_option && i + 1 < arguments.size() && is_negative_number(arguments[i + 1])) {
      result.push_back(argument + "=" + arguments[++i]);
    } else {
      result.push_back(argument);
    }
  }
  return result;
}

void add_model(CLI::App& app, std::string& model, bool required) {
  app.add_option("--model", model, "Folder of a Hugging Face model")
      ->type_name("DIR")
      ->required(required);
}

void add_swarm(CLI::App& app, SwarmFlags& swarm, bool with_local) {
  app.add_option("--join", swarm.join, "Address of any member of the swarm; may be given again")
      ->type_name("HOST:PORT")
      ->take_all();
  if (with_local) app.add_flag("--local", swarm.local, "Run the whole model in this process");
  app.add_option("--swarm-key", swarm.swarm_key_file, "Key file of a private swarm")
      ->type_name("FILE");
  app.add_option("--identity", swarm.identity_file,
                 "Identity file, made if missing (default: a new identity for each run)")
      ->type_name("FILE");
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "CPU threads (default: one per core)")->type_name("N");
}

template <typename T>
CLI::Option* add(CLI::App& app, const char* name, T& value, const char* type, const char* help) {
  return app.add_option(name, value, help)->type_name(type);
}

void define_generate(CLI::App& app, GenerateFlags& flags) {
  add_model(app, flags.model, true);
  add_swarm(app, flags.swarm, true);
  add(app, "--max-tokens", flags.max_tokens, "N",
      "Tokens to generate at most (default: the model's, else 128)");
  add(app, "--temperature", flags.temperature, "T",
      "Randomness, 0 to 100; 0 always takes the likeliest token");
  add(app, "--top-k", flags.top_k, "K", "Only the K likeliest tokens (0: off)");
  add(app, "--top-p", flags.top_p, "P",
      "Only the likeliest tokens of total probability P (1: off)");
  add(app, "--min-p", flags.min_p, "P",
      "Only tokens at least P times as likely as the likeliest (0: off)");
  add(app, "--repetition-penalty", flags.repetition_penalty, "R",
      "Makes tokens of prompt and output less likely (1: off)");
  // CLI11 would wrap a negative number around.
  add(app, "--seed", flags.seed, "S", "Same seed, same text (default: random)")
      ->check([](const std::string& text) {
        return text.starts_with('-') ? "must be a whole number from 0 upward" : std::string();
      });
  app.add_flag("--greedy", flags.greedy, "Always take the likeliest token");
  app.add_option("--stop", flags.stops, "Stop before this text; may be given again")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  app.add_flag("--ignore-eos", flags.ignore_eos, "Go on after the model's end of text");
  app.add_flag("--json", flags.json, "Print one JSON object instead of the text");
  app.add_flag("--logits", flags.logits, "With --json: the five largest logits of each token");
  app.add_flag("--trace", flags.trace, "Show on stderr where the time of each token goes");
  add_threads(app, flags.threads);
  app.add_option("prompt", flags.prompt, "The text to go on from; - reads standard input")
      ->type_name("PROMPT|-")
      ->required();
  app.footer(
      "Sampling options that are not given come from the model's generation_config.json. Filters "
      "apply in the order\n"
      "repetition penalty, temperature, top-k, top-p, min-p.");
}

void define_score(CLI::App& app, ScoreFlags& flags) {
  add_model(app, flags.model, true);
  add_swarm(app, flags.swarm, true);
  add(app, "--window", flags.window, "N", "Tokens of each window, each from an empty cache")
      ->capture_default_str();
  app.add_flag("--json", flags.json, "Print one JSON object");
  add_threads(app, flags.threads);
  app.add_option("file", flags.file, "The text to score")->type_name("FILE")->required();
}

absl::Status invalid(const std::string& text) { return absl::InvalidArgumentError(text); }

absl::Status check_swarm(const SwarmFlags& swarm, const char* command) {
  if (swarm.local && !swarm.join.empty()) {
    return invalid("--local and --join exclude each other: give one of them");
  }
  if (!swarm.local && swarm.join.empty()) {
    return invalid(fmt::format(
        "{} needs --join HOST:PORT, the address of a member of the swarm{}", command,
        std::string(command) == "status" ? "" : ", or --local to run the model in this process"));
  }
  for (const std::string& peer : swarm.join) {
    if (auto parsed = proto::parse_host_port(peer); !parsed.ok()) {
      return invalid(fmt::format("--join: {}", std::string(parsed.status().message())));
    }
  }
  return absl::OkStatus();
}

absl::Status check_range(const char* name, std::int64_t value, std::int64_t least,
                         std::int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return invalid(
      fmt::format("{} is {}, but must be a whole number from {} to {}", name, value, least, most));
}

absl::Status check(const GenerateFlags& flags) {
  if (auto status = check_swarm(flags.swarm, "generate"); !status.ok()) return status;
  if (flags.greedy && flags.temperature.value_or(0) > 0) {
    return invalid("--greedy and --temperature above 0 exclude each other: give one of them");
  }
  if (flags.max_tokens) {
    auto status = check_range("max-tokens", *flags.max_tokens, 1, kMaxTokens);
    if (!status.ok()) return status;
  }
  if (std::find(flags.stops.begin(), flags.stops.end(), "") != flags.stops.end()) {
    return invalid("--stop needs a text that is not empty");
  }
  if (flags.logits && !flags.json) return invalid("--logits needs --json");
  return check_range("threads", flags.threads, 0, kMaxThreads);
}

absl::Status check(const ScoreFlags& flags) {
  if (auto status = check_swarm(flags.swarm, "score"); !status.ok()) return status;
  if (auto status = check_range("window", flags.window, 1, kMaxTokens); !status.ok()) return status;
  return check_range("threads", flags.threads, 0, kMaxThreads);
}

// CLI11's texts are sentences without an end, or several lines; ours is one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

absl::StatusOr<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  CLI::App app("Generates text with a language model that a swarm of nodes serves together.",
               "shoal");
  app.set_version_flag("--version", "shoal " SHOAL_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  GenerateFlags generate;
  ScoreFlags score;
  StatusFlags status;
  SwarmNewFlags swarm_new;
  CLI::App* generate_app = app.add_subcommand("generate", "Go on with a text");
  define_generate(*generate_app, generate);
  CLI::App* score_app =
      app.add_subcommand("score", "Perplexity of a text: how well the model predicts it");
  define_score(*score_app, score);
  CLI::App* status_app = app.add_subcommand("status", "Who serves which blocks");
  add_model(*status_app, status.model, false);
  add_swarm(*status_app, status.swarm, false);
  status_app->add_flag("--json", status.json, "Print one JSON object");
  CLI::App* swarm_app = app.add_subcommand("swarm", "Private swarms");
  swarm_app->require_subcommand(1);
  CLI::App* new_app = swarm_app->add_subcommand("new", "Make the key of a private swarm");
  new_app->add_option("file", swarm_new.file, "Where to write it; it must not exist yet")
      ->type_name("FILE")
      ->required();

  if (!arguments.empty() && !arguments[0].starts_with("-") &&
      std::none_of(std::begin(kCommands), std::end(kCommands),
                   [&](const char* name) { return arguments[0] == name; })) {
    return invalid(fmt::format(
        "\"{}\" is not a command: generate, score, status and swarm are (see shoal --help)",
        arguments[0]));
  }
  std::vector<std::string> reversed = normalized(arguments);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Notice{app.help()};
  } catch (const CLI::CallForAllHelp&) {
    return Notice{app.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::CallForVersion& version) {
    return Notice{std::string(version.what()) + "\n"};
  } catch (const CLI::ParseError& error) {
    std::string where = "shoal";
    for (const CLI::App* sub = &app; sub != nullptr && !sub->get_subcommands().empty();) {
      sub = sub->get_subcommands().front();
      where += " " + sub->get_name();
    }
    return invalid(fmt::format("{} (see {} --help)", one_line(error.what()), where));
  }
  if (generate_app->parsed()) {
    if (auto checked = check(generate); !checked.ok()) return checked;
    return generate;
  }
  if (score_app->parsed()) {
    if (auto checked = check(score); !checked.ok()) return checked;
    return score;
  }
  if (status_app->parsed()) {
    if (auto checked = check_swarm(status.swarm, "status"); !checked.ok()) return checked;
    return status;
  }
  return swarm_new;
}

}  // namespace shoal::client
