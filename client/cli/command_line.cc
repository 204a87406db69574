// SPDX-License-Identifier: Apache-2.0
#include "client/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cli/command.h"
#include "cli/shown.h"
#include "cli/usage.h"
#include "client/serve/tool_syntax.h"
#include "client/text/sampler.h"
#include "model/block_cache.h"
#include "proto/endpoint.h"

namespace shoal::client {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kMaxConcurrent = 256;  // a thread each
constexpr int kMaxQueue = 100'000;
constexpr double kMaxWaitS = 86'400;  // a day
constexpr std::int64_t kMaxTokens = 1'000'000;
constexpr std::int64_t kMaxTopK = 1'000'000'000;  // no vocabulary has more

bool is_address(const std::string& text) { return proto::parse_host_port(text).ok(); }

constexpr const char* kInput = "Input";
constexpr const char* kSwarm = "Swarm";
constexpr const char* kThisMachine = "This machine";
constexpr const char* kSampling = "Sampling";
constexpr const char* kOutput = "Output";

void add_model(cli::Command& command, std::string& model, bool from_swarm) {
  command.group(from_swarm ? kInput : "");
  command.option("--model", "MODEL",
                 "Folder of a Hugging Face model, or its name on the hub, ORG/NAME[@REVISION]: "
                 "then what is needed of it is fetched" +
                     std::string(from_swarm ? "; or the name of a model of the swarm (default: the "
                                              "one that it serves): then nothing of it is needed "
                                              "here"
                                            : "; or the name of a model of the swarm"),
                 cli::name(model));
}

void add_membership(cli::Command& command, SwarmFlags& swarm) {
  command.option("--udp", "WAY",
                 "auto: the directory is asked by UDP, or over TCP where UDP does not pass; off: "
                 "over TCP only",
                 cli::one_of(swarm.udp, {"auto", "off"}));
  command.option("--swarm-key", "FILE", "Key file of a private swarm",
                 cli::name(swarm.swarm_key_file));
  command.option("--identity", "FILE",
                 "Identity file, made if missing (default: a new identity for each run)",
                 cli::name(swarm.identity_file));
}

void add_join(cli::Command& command, SwarmFlags& swarm) {
  cli::Option& join = command.option("--join", "HOST:PORT", "Address of any member of the swarm",
                                     cli::names(swarm.join));
  join.more = is_address;
  join.rival = "--local";
}

void add_config(cli::Command& command, SwarmFlags& swarm) {
  command.option("--config", "FILE",
                 "Options in TOML, with the same names (default: ~/.config/shoal/shoal.toml, else "
                 "/etc/shoal/shoal.toml); off: none. Variables such as SHOAL_JOIN count more, and "
                 "what is typed most",
                 cli::name(swarm.config));
}

void add_swarm(cli::Command& command, SwarmFlags& swarm) {
  command.group(kSwarm);
  add_join(command, swarm);
  command.option("--ends", "WHERE",
                 "Who computes the first and the last layer: local, this program, which needs "
                 "their weights, or remote, the nodes at the ends of the route; auto (the "
                 "default) is local where the weights are here",
                 cli::one_of(swarm.ends, {"auto", "local", "remote"}));
  command.option("--wait", "S", "Seconds to wait for blocks or a network that are away",
                 cli::real(swarm.wait_s, {0, kMaxWaitS, false, "(0 does not wait)"}));
  add_membership(command, swarm);
  add_config(command, swarm);
}

void add_this_machine(cli::Command& command, SwarmFlags& swarm, int& threads) {
  command.group(kThisMachine);
  command.flag("--local", swarm.local, "Run the whole model in this process").rival = "--join";
  command.option("--threads", "N", "CPU threads (default: one per core)",
                 cli::whole(threads, 0, kMaxThreads));
  command.option("--head", "FORMAT",
                 "How the last layer, if this program computes it, is kept: stored, or q8 (8.5 "
                 "bits a weight: less to read for each token; default where all blocks run with "
                 "quantized weights)",
                 cli::one_of(swarm.head, {"stored", "q8"}));
  command.option("--weights", "FORMAT",
                 "With --local, how weights are kept: stored (the default), or q8 (8.5 bits a "
                 "weight), q4 (5 bits) or q4s (4.5 bits), which are made once; auto takes the "
                 "first of these in which the model fits into the free memory",
                 cli::one_of(swarm.weights, {"stored", "q8", "q4", "q4s", "auto"}));
  command.option("--kv-dtype", "TYPE",
                 "With --local, how keys and values are kept: f32 (the default), or bf16 or f16, "
                 "which take half of the memory and round, or i8, which takes little more than a "
                 "quarter",
                 cli::one_of(swarm.kv_dtype, {"f32", "bf16", "f16", "i8"}));
  command.option("--cache", "DIR",
                 "With --local, where q8, q4 and q4s weights are kept for the next start "
                 "(default: ~/.cache/shoal/blocks); off: nowhere",
                 cli::name(swarm.cache));
  command.option("--cache-limit", "SIZE",
                 "The most that is kept there, for example 100GB or 50% of the disk (default: "
                 "64GiB); what was not used for longest goes first. off: no limit",
                 cli::name(swarm.cache_limit));
}

void add_sampling(cli::Command& command, SamplingFlags& flags) {
  command.group(kSampling);
  command.option(
      "--temperature", "T", "Randomness, 0 to 100; 0 always takes the likeliest token",
      cli::real(flags.temperature, {0, kMaxTemperature, false, "(0 takes the likeliest token)"}));
  command.option("--top-k", "K", "Only the K likeliest tokens (0: off)",
                 cli::whole(flags.top_k, 0, kMaxTopK));
  command.option("--top-p", "P", "Only the likeliest tokens of total probability P (1: off)",
                 cli::real(flags.top_p, {0, 1, true, "(1 turns it off)"}));
  command.option("--min-p", "P", "Only tokens at least P times as likely as the likeliest (0: off)",
                 cli::real(flags.min_p, {0, 1, false, "(0 turns it off)"}));
  command.option(
      "--repetition-penalty", "R", "Makes tokens of prompt and output less likely (1: off)",
      cli::real(flags.repetition_penalty, {0, kMaxRepetitionPenalty, true, "(1 turns it off)"}));
  command.option("--seed", "S", "Same seed, same text (default: random)",
                 cli::whole(flags.seed, 0, std::numeric_limits<std::uint64_t>::max()));
  command.flag("--greedy", flags.greedy, "Always take the likeliest token");
}

constexpr const char* kSamplingFooter =
    "Sampling options that are not given come from the model's generation_config.json. Filters "
    "apply in the order\n"
    "repetition penalty, temperature, top-k, top-p, min-p.";

void add_template_file(cli::Command& command, TemplateFlags& flags) {
  command.option("--chat-template", "FILE",
                 "How messages become a text, as Jinja (default: the model's own)",
                 cli::name(flags.file));
}

void add_template(cli::Command& command, TemplateFlags& flags) {
  command.option("--system", "TEXT", "What the model is told before all else",
                 cli::text(flags.system));
  add_template_file(command, flags);
}

void define_generate(cli::Command& command, GenerateFlags& flags) {
  add_model(command, flags.model, true);
  command.flag("--chat", flags.chat,
               "The prompt is a message to a model that answers, by its chat template");
  add_template(command, flags.chat_template);
  add_swarm(command, flags.swarm);
  command.option("--share-prefix", "NAME",
                 "Share what nodes keep of texts, for minutes, with everybody who gives the same "
                 "NAME: give it to people whom you trust (default: with --identity nodes keep it "
                 "for that identity, else not at all)",
                 cli::text(flags.share_prefix));
  command.flag("--no-prefix-reuse", flags.no_prefix_reuse,
               "Have nodes keep nothing of the text, and compute all of it");
  add_sampling(command, flags);
  command.group(kOutput);
  command.option("--max-tokens", "N", "Tokens to generate at most (default: the model's, else 128)",
                 cli::whole(flags.max_tokens, 1, kMaxTokens));
  command.option("--stop", "TEXT", "Stop before this text, taken as it is written",
                 cli::texts(flags.stops));
  command.flag("--ignore-eos", flags.ignore_eos, "Go on after the model's end of text");
  command.option("--json-schema", "FILE", "Write JSON that satisfies the schema in this file",
                 cli::name(flags.json_schema));
  command.option("--regex", "R", "Write a text that this regular expression matches as a whole",
                 cli::text(flags.regex));
  command.flag("--json", flags.json, "Print one JSON object instead of the text");
  command.flag("--logits", flags.logits, "With --json: the five largest logits of each token");
  command.flag("--trace", flags.trace, "Show on stderr where the time of each token goes");
  add_this_machine(command, flags.swarm, flags.threads);
  command.operand({"PROMPT|-",
                   "The text to go on from, in quotes; - or none at all: standard input, whose one "
                   "last line end does not count",
                   cli::text(flags.prompt), false, "the prompt", "put quotes around all of it"});
  command.elsewhere("--prompt", "the prompt is the last argument, without an option");
  command.footer(kSamplingFooter);
  command.example("Go on with a text, with whatever model the swarm serves",
                  "shoal generate --join HOST:7000 \"Once upon a time\"");
  command.example("One question to a model that answers",
                  "shoal generate --join HOST:7000 --chat \"Why is the sky blue?\"");
  command.example("The same text again, as JSON; this program computes the ends",
                  "shoal generate --model DIR --join HOST:7000 --seed 7 --json < prompt.txt");
  command.example("Without a swarm", "shoal generate --model DIR --local \"Once upon a time\"");
}

void define_chat(cli::Command& command, ChatFlags& flags) {
  add_model(command, flags.model, true);
  add_template(command, flags.chat_template);
  command.option("--load", "FILE", "Go on with a talk that /save wrote", cli::name(flags.load));
  command.flag("--no-history", flags.no_history,
               "Keep nothing of what is typed for the next time (else: "
               "~/.local/state/shoal/chat_history)");
  add_swarm(command, flags.swarm);
  add_sampling(command, flags);
  command.group(kOutput);
  command.option("--max-tokens", "N",
                 "Tokens of an answer at most (default: the model's, else 1024)",
                 cli::whole(flags.max_tokens, 1, kMaxTokens));
  add_this_machine(command, flags.swarm, flags.threads);
  command.footer(std::string("Type /help in the talk for what it understands.\n") +
                 kSamplingFooter);
  command.example("Talk with whatever model the swarm serves", "shoal chat --join HOST:7000");
  command.example("With one of several, and a system prompt",
                  "shoal chat --join HOST:7000 --model NAME --system \"Answer briefly.\"");
  command.example("A private swarm",
                  "shoal chat --join HOST:7000 --swarm-key swarm.key --identity me.key");
}

void define_serve(cli::Command& command, ServeFlags& flags) {
  add_model(command, flags.model, true);
  add_template_file(command, flags.chat_template);
  command.group("Server");
  command.option("--listen", "HOST:PORT", "Where to listen", cli::name(flags.listen));
  command.option("--api-key", "KEY",
                 "Who asks must send it, \"Authorization: Bearer KEY\" (default: everybody who "
                 "reaches the address may ask)",
                 cli::texts(flags.api_keys));
  command.option("--served-model-name", "NAME",
                 "What requests call the model (default: the name of its folder, or the swarm's)",
                 cli::name(flags.served_name));
  command.option("--max-concurrent", "N", "Answers that are made at a time",
                 cli::whole(flags.max_concurrent, 1, kMaxConcurrent));
  command.option("--max-queue", "N", "Answers that may wait for their turn; others are refused",
                 cli::whole(flags.max_queue, 0, kMaxQueue));
  command.option("--tool-call-parser", "NAME",
                 "How the model writes calls of functions: " + tool_family_names() +
                     " (default: by its chat template)",
                 cli::name(flags.tool_parser));
  add_swarm(command, flags.swarm);
  add_this_machine(command, flags.swarm, flags.threads);
  command.footer(
      "Speaks OpenAI's API: point a client at http://HOST:PORT/v1. Ctrl-C finishes the answers "
      "that are being made.");
  command.example("For programs on this machine", "shoal serve --join HOST:7000");
  command.example("For others too",
                  "shoal serve --join HOST:7000 --listen 0.0.0.0:8000 --api-key KEY");
}

void define_score(cli::Command& command, ScoreFlags& flags) {
  add_model(command, flags.model, true);
  command.option("--window", "N", "Tokens of each window, each from an empty cache",
                 cli::whole(flags.window, 1, kMaxTokens));
  add_swarm(command, flags.swarm);
  command.group(kOutput);
  command.flag("--json", flags.json, "Print one JSON object");
  add_this_machine(command, flags.swarm, flags.threads);
  command.operand({"FILE|-", "The text to score, in UTF-8; - or none at all: standard input",
                   cli::name(flags.file), false, "the file to score", "score one at a time"});
}

void define_pull(cli::Command& command, PullFlags& flags, std::string& blocks) {
  command.option("--blocks", "B:E", "Only blocks B to E-1, as a node that serves them needs them",
                 cli::name(blocks));
  command.flag("--ends", flags.ends, "Only what a client needs whose blocks a swarm serves");
  command.operand({"ORG/NAME[@REVISION]", "The model's name on the hub", cli::name(flags.model),
                   true, "the model", "fetch one at a time"});
  command.footer(
      "Kept in the Hugging Face cache, ~/.cache/huggingface/hub, which its own tools use too.\n"
      "HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE are read as they read "
      "them.");
}

absl::Status take_blocks(const std::string& blocks, PullFlags& flags) {
  if (blocks.empty()) return absl::OkStatus();
  const auto span = proto::parse_span(blocks);
  if (!span.ok()) {
    return cli::usage_error(fmt::format("--blocks: {}", std::string(span.status().message())));
  }
  if (flags.ends) {
    return cli::usage_error("--blocks and --ends exclude each other: give one of them");
  }
  flags.blocks = *span;
  return absl::OkStatus();
}

void define_status(cli::Command& command, StatusFlags& flags) {
  add_model(command, flags.model, false);
  add_join(command, flags.swarm);
  add_membership(command, flags.swarm);
  add_config(command, flags.swarm);
  command.flag("--check", flags.check,
               "Exit with status 1 unless nodes that answer serve every block");
  command.flag("--json", flags.json, "Print one JSON object");
}

absl::Status check_swarm(const SwarmFlags& swarm, const char* command) {
  if (swarm.local && !swarm.join.empty()) {
    return cli::usage_error("--local and --join exclude each other: give one of them");
  }
  if (!swarm.local && !swarm.kv_dtype.empty()) {
    return cli::usage_error("--kv-dtype needs --local: the nodes of a swarm choose their own");
  }
  if (!swarm.local && !swarm.weights.empty()) {
    return cli::usage_error("--weights needs --local: the nodes of a swarm choose their own");
  }
  if (!swarm.local && (!swarm.cache.empty() || !swarm.cache_limit.empty())) {
    return cli::usage_error(
        "--cache and --cache-limit need --local: the nodes of a swarm have their own");
  }
  if (const auto cache = model::cache_options(swarm.cache, swarm.cache_limit); !cache.ok()) {
    return cli::usage_error(std::string(cache.status().message()));
  }
  if (swarm.local && swarm.ends == "remote") {
    return cli::usage_error("--ends remote is for a swarm: with --local all is computed here");
  }
  if (!swarm.local && swarm.join.empty()) {
    return cli::usage_error(fmt::format(
        "{} needs --join HOST:PORT, the address of a member of the swarm{}", command,
        std::string(command) == "status" ? "" : ", or --local to run the model in this process"));
  }
  for (const std::string& peer : swarm.join) {
    if (auto status = proto::check_address(peer, proto::AddressUse::kDial); !status.ok()) {
      return cli::usage_error(fmt::format("--join: {}", std::string(status.message())));
    }
  }
  return absl::OkStatus();
}

// The swarm says which model, when nobody else does.
absl::Status check_swarm(const SwarmFlags& swarm, const std::string& model, const char* command) {
  if (auto status = check_swarm(swarm, command); !status.ok()) return status;
  if (!swarm.head.empty() && (swarm.ends == "remote" || (model.empty() && !swarm.local))) {
    return cli::usage_error(
        "--head is for a last layer that this program computes: give --model, and not --ends "
        "remote");
  }
  if (!model.empty()) return absl::OkStatus();
  if (swarm.local) {
    return cli::usage_error("--local needs --model: a folder, or ORG/NAME on the hub");
  }
  if (swarm.ends == "local") {
    return cli::usage_error(
        "--ends local needs --model with a folder or ORG/NAME: nodes give no weights");
  }
  return absl::OkStatus();
}

absl::Status check_sampling(const SamplingFlags& flags) {
  if (!flags.greedy || flags.temperature.value_or(0) == 0) return absl::OkStatus();
  return cli::usage_error(
      "--greedy and --temperature above 0 exclude each other: give one of them");
}

absl::Status check(const ServeFlags& flags) {
  if (auto status = check_swarm(flags.swarm, flags.model, "serve"); !status.ok()) return status;
  if (auto status = proto::check_address(
          proto::spelled_out(flags.listen, proto::AddressUse::kListen), proto::AddressUse::kListen);
      !status.ok()) {
    return cli::usage_error(fmt::format("--listen: {}", std::string(status.message())));
  }
  for (const std::string& key : flags.api_keys) {
    if (key.empty()) return cli::usage_error("--api-key is empty: give a key");
  }
  if (!flags.tool_parser.empty() && !tool_family_named(flags.tool_parser)) {
    return cli::usage_error(fmt::format("--tool-call-parser {} is not known, only {}",
                                        cli::printable(flags.tool_parser), tool_family_names()));
  }
  return absl::OkStatus();
}

absl::Status check(const ChatFlags& flags) {
  if (auto status = check_swarm(flags.swarm, flags.model, "chat"); !status.ok()) return status;
  return check_sampling(flags);
}

absl::Status check(const GenerateFlags& flags) {
  if (auto status = check_swarm(flags.swarm, flags.model, "generate"); !status.ok()) return status;
  if (auto status = check_sampling(flags); !status.ok()) return status;
  if (!flags.chat && !(flags.chat_template.system + flags.chat_template.file).empty()) {
    return cli::usage_error("--system and --chat-template need --chat");
  }
  if (std::find(flags.stops.begin(), flags.stops.end(), "") != flags.stops.end()) {
    return cli::usage_error("--stop is empty: give the text to stop before");
  }
  if (!flags.json_schema.empty() && !flags.regex.empty()) {
    return cli::usage_error("--json-schema and --regex exclude each other: give one of them");
  }
  if (flags.logits && !flags.json) return cli::usage_error("--logits needs --json");
  if (!flags.share_prefix.empty() && flags.swarm.local) {
    return cli::usage_error("--share-prefix is for a swarm: with --local nothing is kept");
  }
  if (!flags.share_prefix.empty() && flags.no_prefix_reuse) {
    return cli::usage_error(
        "--share-prefix and --no-prefix-reuse exclude each other: give one of them");
  }
  return absl::OkStatus();
}

// What is not given is read from standard input, unless somebody would have to type it there
// without being asked to.
absl::Status take_input(const cli::Invocation& called, bool input_is_useless, std::string& where) {
  if (called.operands > 0) return absl::OkStatus();
  where = "-";
  if (!input_is_useless) return absl::OkStatus();
  const cli::Operand& operand = called.command->operands().front();
  return cli::usage_error(fmt::format(
      "{} is missing: give it as the last argument, or on standard input", operand.what));
}

}  // namespace

absl::StatusOr<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                               bool input_is_useless,
                                               const cli::Settings& settings) {
  GenerateFlags generate;
  ChatFlags chat;
  ServeFlags serve;
  ScoreFlags score;
  StatusFlags status;
  SwarmNewFlags swarm_new;
  cli::Command program(
      "shoal", "Generates text with a language model that a swarm of nodes serves together.");
  cli::Command& generate_command = program.command("generate", "Go on with a text");
  define_generate(generate_command, generate);
  cli::Command& chat_command = program.command("chat", "Talk with a model");
  define_chat(chat_command, chat);
  cli::Command& serve_command = program.command("serve", "Answer programs that speak OpenAI's API");
  define_serve(serve_command, serve);
  cli::Command& score_command =
      program.command("score", "Perplexity of a text: how well the model predicts it");
  define_score(score_command, score);
  cli::Command& status_command = program.command("status", "Who serves which blocks");
  define_status(status_command, status);
  cli::Command& swarm_command = program.command("swarm", "Private swarms");
  cli::Command& new_command = swarm_command.command("new", "Make the key of a private swarm");
  new_command.operand({"FILE", "Where to write it; it must not exist yet",
                       cli::name(swarm_new.file), true, "the file of the new key",
                       "make one at a time"});
  PullFlags pull;
  std::string pull_blocks;
  cli::Command& pull_command = program.command("pull", "Fetch a model from the Hugging Face hub");
  define_pull(pull_command, pull, pull_blocks);
  ModelsFlags models;
  cli::Command& models_command = program.command(
      "models", "Which models are here, and how much of each; with --join, which a swarm serves");
  models_command.works_alone();
  add_join(models_command, models.swarm);
  add_membership(models_command, models.swarm);
  models_command.flag("--json", models.json, "Print one JSON object");
  cli::Command& remove_command = models_command.command("remove", "Remove one");
  remove_command.operand({"ORG/NAME", "The model, with all that is kept of it",
                          cli::name(models.remove), true, "the model", "remove one at a time"});
  for (const char* word : {"run", "bootstrap"}) {
    program.elsewhere(word, "nodes are started by shoal-node (see shoal-node --help)");
  }
  for (const char* word : {"complete", "completion", "ask"}) {
    program.elsewhere(word, "shoal generate goes on with a text, shoal chat talks");
  }
  program.elsewhere("version", "write shoal --version");
  program.footer("Exit status: 0 done, 1 failed for what happened, 2 what was typed is wrong.");

  const auto called = cli::invoke(program, "shoal " SHOAL_VERSION, arguments, settings);
  if (!called.ok()) return called.status();
  if (!called->print.empty()) return Notice{called->print};
  const auto told = [&](const absl::Status& wrong) { return cli::with_origins(wrong, *called); };
  if (called->command == &generate_command) {
    if (auto taken = take_input(*called, input_is_useless, generate.prompt); !taken.ok()) {
      return taken;
    }
    if (auto checked = check(generate); !checked.ok()) return told(checked);
    return generate;
  }
  if (called->command == &chat_command) {
    if (auto checked = check(chat); !checked.ok()) return told(checked);
    return chat;
  }
  if (called->command == &serve_command) {
    if (auto checked = check(serve); !checked.ok()) return told(checked);
    return serve;
  }
  if (called->command == &score_command) {
    if (auto taken = take_input(*called, input_is_useless, score.file); !taken.ok()) return taken;
    if (auto checked = check_swarm(score.swarm, score.model, "score"); !checked.ok())
      return told(checked);
    return score;
  }
  if (called->command == &status_command) {
    if (auto checked = check_swarm(status.swarm, "status"); !checked.ok()) return told(checked);
    return status;
  }
  if (called->command == &pull_command) {
    if (auto taken = take_blocks(pull_blocks, pull); !taken.ok()) return taken;
    return pull;
  }
  if (called->command == &models_command && !models.swarm.join.empty()) {
    if (auto checked = check_swarm(models.swarm, "models"); !checked.ok()) return told(checked);
  }
  if (called->command == &models_command || called->command == &remove_command) return models;
  return swarm_new;
}

}  // namespace shoal::client
