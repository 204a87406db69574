// SPDX-License-Identifier: Apache-2.0
#include "node/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "cli/command.h"
#include "cli/usage.h"
#include "model/kv_pool.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

constexpr const char* kAbout =
    "Serves a span of a language model's blocks to a swarm.\n"
    "\n"
    "  start a swarm   shoal-node run --model DIR --new-swarm --listen :7000\n"
    "  join a swarm    shoal-node run --model DIR --join HOST:7000\n"
    "  look before     shoal-node plan --model DIR\n"
    "                  shoal-node netcheck --join HOST:7000\n"
    "  stay            shoal-node service install --model DIR --join HOST:7000\n"
    "  stop            Ctrl-C or SIGTERM: finishes running sessions, then leaves; a second one "
    "leaves at once";

constexpr const char* kNewSwarm = "--new-swarm";
constexpr const char* kJoinOption = "--join";
// Headings of --help, in this order there. Few options: none.
constexpr const char* kModelGroup = "Model and blocks";
constexpr const char* kMachineGroup = "This machine";
constexpr const char* kSwarmGroup = "Swarm";
constexpr const char* kNetworkGroup = "Network";
constexpr const char* kSharingGroup = "When and how much to serve";
constexpr const char* kFilesGroup = "Files and log";

struct RunTexts {  // of options that are more than a number
  std::string blocks;
  std::string device = "auto";
  std::string compute = "exact";
  std::string memory;
  std::string kv_dtype = "f32";
  std::string weights = "stored";
  std::string ends = "auto";
  std::string rebalance = "on";
  std::string cache;
  std::string cache_limit;
  std::string config;  // the reader of command lines takes it
  std::vector<std::string> hours;
  std::string reach = "auto";
  std::string relay = "on";
};

void add_config(cli::Command& command, RunTexts& texts) {
  command.option("--config", "FILE",
                 "Options in TOML, with the same names (default: "
                 "~/.config/shoal/shoal-node.toml, else /etc/shoal/shoal-node.toml); off: none. "
                 "Variables such as SHOAL_NODE_JOIN count more, and what is typed most",
                 cli::name(texts.config));
}

// Whom to join, and as whom.
void add_swarm(cli::Command& command, CommandLine& line) {
  command.group(kSwarmGroup);
  cli::Option& join =
      command.option(kJoinOption, "HOST:PORT", "An address of the swarm", cli::names(line.join));
  join.more = [](const std::string& text) { return proto::parse_host_port(text).ok(); };
  if (command.find_option(kNewSwarm) != nullptr) join.rival = kNewSwarm;
  command.option("--join-timeout", "S",
                 "Seconds after which a node that found nobody at its --join addresses gives up "
                 "(default: it tries until somebody answers)",
                 cli::real(line.join_timeout_s, {0, 1e6, true, ""}));
  command.option("--swarm-key", "FILE", "The private swarm's key, made by \"shoal swarm new FILE\"",
                 cli::name(line.swarm_key));
  command.group(kNetworkGroup);
  command.option("--announce", "HOST:PORT",
                 "Where others reach this node, when that is not --listen: behind a router that "
                 "forwards a port, for example. Port 0: the one listened on. One for IPv4 and one "
                 "for IPv6",
                 cli::names(line.announce));
  command.option("--udp", "WAY",
                 "auto: the directory is asked by UDP, or over TCP where UDP does not pass; off: "
                 "over TCP only",
                 cli::one_of(line.udp, {"auto", "off"}));
}

void add_log_level(cli::Command& command, std::string& level) {
  command.option("--log-level", "LEVEL",
                 "What is logged on stderr: trace, debug, info, warn, error "
                 "or off",
                 cli::one_of(level, {"trace", "debug", "info", "warn", "error", "off"}));
}

void add_common(cli::Command& command, CommandLine& line, RunTexts& texts) {
  add_swarm(command, line);
  command.option(
      "--reach", "HOW",
      "How others reach this node: auto (others dial back; if they cannot, the router is "
      "asked to map the port, then relays are used; the default), direct (as told, "
      "whatever others find) or relay (through relays only)",
      cli::one_of(texts.reach, {"auto", "direct", "relay"}));
  command.option("--relay", "HOW",
                 "Carry (encrypted) bytes for nodes that others do not reach: on (the default) or "
                 "off",
                 cli::one_of(texts.relay, {"on", "off"}));
  command.option("--relay-mbit", "N", "Mbit/s that these take at most, all together",
                 cli::whole(line.relay_mbit, 1, proto::kMaxRelayMbit));
  command.group(kFilesGroup);
  command.option("--identity", "FILE",
                 "This node's key; made when missing (default: one in ~/.local/state/shoal)",
                 cli::name(line.identity));
  add_log_level(command, line.log_level);
  command.option("--metrics", "HOST:PORT",
                 "Serve metrics for Prometheus at http://HOST:PORT/metrics; port 0 picks a free "
                 "one. Whoever reaches the address may read them",
                 cli::name(line.metrics));
  command.option("--ready-file", "FILE",
                 "JSON with address and peer id; exists while the node is online",
                 cli::name(line.ready_file));
  add_config(command, texts);
  command.group(kMachineGroup);
  command.option("--nice", "N",
                 "Gives way to other programs of this machine: 0 not at all (the default), 19 most",
                 cli::whole(line.nice, 0, 19));
  command.flag("--take-over", line.take_over,
               "Take the place of the node of this identity that runs here: it finishes its "
               "sessions, and new ones come to this one");
  command.group("");
}

void add_sizes(cli::Command& command, CommandLine& line, RunTexts& texts) {
  command.group(kModelGroup);
  command
      .option(
          "--model", "MODEL",
          "A Hugging Face model folder, or a model's name on the hub, ORG/NAME[@REVISION]: then "
          "the tensors of the blocks are fetched",
          cli::name(line.model))
      .required();
  command.option("--blocks", "B:E",
                 "Blocks to serve, B to E-1 (default: as many as fit, where the swarm needs them "
                 "most)",
                 cli::name(texts.blocks));
  command.option(
      "--compute", "KIND",
      "How a GPU multiplies stored weights: exact (the bits of every other machine) or mma "
      "(its float tensor cores, for bf16 and f16 weights: faster with many rows, rounds "
      "activations to their type, exact among nodes with GPUs of one kind)",
      cli::one_of(texts.compute, {"exact", "mma"}));
  command.option("--kv-dtype", "TYPE",
                 "How keys and values are kept: f32, or bf16 or f16, which take half of the memory "
                 "and round, or i8, which takes little more than a quarter; sessions are exact "
                 "among nodes of one type",
                 cli::one_of(texts.kv_dtype, {"f32", "bf16", "f16", "i8"}));
  command.group(kMachineGroup);
  command.option("--device", "DEVICE",
                 "Where to compute: auto (the GPU if one works, else the CPU; the default), cpu, "
                 "cuda, cuda:N for a certain GPU, or cuda:0,cuda:1 for several, a part of the "
                 "blocks on each",
                 cli::name(texts.device));
  command.option("--threads", "N", "CPU threads (default: one per core)",
                 cli::whole(line.threads, 1, 1024));
  command.option("--kv-positions", "N",
                 "Positions of all sessions together that are kept in memory (default: what fits, "
                 "at most 65536)",
                 cli::whole(line.kv_positions, model::kPagePositions, std::uint64_t{1} << 32));
  command.option("--memory", "SIZE",
                 "The most memory that this node may take, for example 6GiB or 50% (default: what "
                 "the machine, its control groups and ulimit leave). Decides how many blocks fit",
                 cli::name(texts.memory));
}

void add_run(cli::Command& command, CommandLine& line, RunTexts& texts) {
  add_sizes(command, line, texts);
  command.group(kModelGroup);
  command.option("--model-name", "NAME", "The model's name for people (default: the folder's)",
                 cli::text(line.model_name));
  command.flag("--add-model", line.add_model,
               "Join even if the swarm serves only other models so "
               "far");
  command.option("--weights", "FORMAT",
                 "How weights are kept: stored, or q8 (8.5 bits a weight), q4 (5 bits) or q4s (4.5 "
                 "bits), which are made once and give the same bits on every machine; auto takes "
                 "the first of these in which the blocks fit (see shoal-node plan)",
                 cli::one_of(texts.weights, {"stored", "q8", "q4", "q4s", "auto"}));
  command.option("--ends", "WHEN",
                 "Whether a node with the first block also turns token ids into rows, and one with "
                 "the last block rows into scores of tokens, for clients that have no weights: "
                 "auto (if memory allows; the default), on or off",
                 cli::one_of(texts.ends, {"auto", "on", "off"}));
  command.option(
      "--rebalance", "WHEN",
      "Whether a node that chose its blocks by itself moves to others while it runs, when "
      "the swarm needs it there: on (the default) or off",
      cli::one_of(texts.rebalance, {"on", "off"}));
  command.group(kSwarmGroup);
  command
      .flag(kNewSwarm, line.new_swarm,
            "Start a swarm instead of joining one. A node that was in one with others finds them "
            "again")
      .rival = kJoinOption;
  command.option("--public-name", "NAME", "Your name or the node's, shown in the swarm's status",
                 cli::text(line.public_name));
  command.group(kNetworkGroup);
  command.option("--listen", "HOST:PORT",
                 "Address for TCP and UDP; without HOST all of this machine, IPv4 and IPv6. Port 0 "
                 "picks a free one; name one if a firewall must let it through",
                 cli::name(line.listen));
  command.group(kMachineGroup);
  command.option("--cache", "DIR",
                 "Where q8, q4 and q4s weights are kept for the next start (default: "
                 "~/.cache/shoal/blocks); off: nowhere",
                 cli::name(texts.cache));
  command.option("--cache-limit", "SIZE",
                 "The most that is kept there, for example 100GB or 50% of the disk (default: "
                 "64GiB); what was not used for longest goes first. off: no limit",
                 cli::name(texts.cache_limit));
  command.group(kSharingGroup);
  command.option("--max-sessions", "N", "Sessions at a time",
                 cli::whole(line.max_sessions, 1, proto::kMaxSessions));
  command.option("--max-sessions-per-peer", "N", "Sessions of one client at a time",
                 cli::whole(line.max_sessions_per_peer, 1, proto::kMaxSessions));
  command.option("--drain-timeout", "S", "Seconds that running sessions get to finish on SIGTERM",
                 cli::real(line.drain_timeout_s, {0, 3600, false, ""}));
  command.option("--hours", "FROM-TO",
                 "Serve in these hours of this machine's clock only, and pause outside of them: "
                 "22-7, or 12:30-13:30, or mon-fri@18-8,sat+sun@0-24",
                 cli::names(texts.hours));
  command.flag(
      "--free-paused", line.free_paused,
      "Give the memory back outside of --hours: the blocks are loaded again as they begin");
  add_common(command, line, texts);
}

absl::Status wrong(const std::string& text) { return cli::usage_error(text); }

absl::Status check(CommandLine& line, const RunTexts& texts) {
  if (!texts.memory.empty()) {
    const auto memory = base::parse_memory_size(texts.memory);
    if (!memory.ok()) {
      return wrong(fmt::format("--memory: {}", std::string(memory.status().message().data(),
                                                           memory.status().message().size())));
    }
    line.memory = *memory;
  }
  const kernels::cuda::ParsedDevice device = kernels::cuda::parse_device(texts.device);
  if (!device.choice) return wrong(device.error);
  line.device = *device.choice;
  if (const auto dtype = model::kv_dtype_named(texts.kv_dtype)) line.kv_dtype = *dtype;
  line.weights = model::weight_choice_named(texts.weights);  // none is named auto
  if (texts.compute == "mma") {
    if (line.weights != model::WeightChoice::kStored) {
      return wrong(
          fmt::format("--compute mma multiplies weights as they are stored, and --weights is {}: "
                      "leave one of the two out",
                      texts.weights));
    }
    line.weights = model::WeightChoice::kMma;
  }
  line.ends = texts.ends == "on"    ? EndsMode::kOn
              : texts.ends == "off" ? EndsMode::kOff
                                    : EndsMode::kAuto;
  line.rebalance = texts.rebalance == "on";
  const auto cache = model::cache_options(texts.cache, texts.cache_limit);
  if (!cache.ok()) return wrong(std::string(cache.status().message()));
  line.cache = *cache;
  const auto hours = Hours::parse(texts.hours);
  if (!hours.ok()) return wrong("--hours: " + std::string(hours.status().message()));
  line.hours = *hours;
  if (line.free_paused && line.hours.always()) {
    return wrong("--free-paused is of no use without --hours: name some, or leave it out");
  }
  if (!texts.blocks.empty()) {
    const auto span = proto::parse_span(texts.blocks);
    if (!span.ok()) {
      return wrong(fmt::format("--blocks: {}", std::string(span.status().message().data(),
                                                           span.status().message().size())));
    }
    line.blocks = *span;
  }
  if (line.action == CommandLine::Action::kRun || line.action == CommandLine::Action::kService) {
    if (line.new_swarm && !line.join.empty())
      return wrong("give either --new-swarm or --join, not both");
    if (!line.new_swarm && line.join.empty()) {
      return wrong("join a swarm with --join HOST:PORT, or start one with --new-swarm");
    }
  }
  for (const std::string* name : {&line.public_name, &line.model_name}) {
    if (name->size() > proto::kMaxNameBytes) {
      return wrong(fmt::format("\"{}\" is too long for a name: at most {} bytes", *name,
                               proto::kMaxNameBytes));
    }
  }
  if (!line.metrics.empty() && line.metrics == line.listen && !line.metrics.ends_with(":0")) {
    return wrong(
        fmt::format("--listen and --metrics are both {}: give them different ports", line.listen));
  }
  std::vector<std::string> metrics;
  if (!line.metrics.empty()) metrics.push_back(line.metrics);
  const std::tuple<const char*, std::vector<std::string>, proto::AddressUse> options[] = {
      {"--join", line.join, proto::AddressUse::kDial},
      {"--listen", {line.listen}, proto::AddressUse::kListen},
      {"--announce", line.announce, proto::AddressUse::kAnnounce},
      {"--metrics", metrics, proto::AddressUse::kListen},
  };
  for (const auto& [option, addresses, use] : options) {
    for (const std::string& address : addresses) {
      const absl::Status status = proto::check_address(address, use);
      if (!status.ok()) {
        return wrong(fmt::format("{}: {}", option,
                                 std::string(status.message().data(), status.message().size())));
      }
    }
  }
  return absl::OkStatus();
}

// "options from FILE: join, model; from the environment: SHOAL_NODE_LISTEN".
std::string origins_of(const std::vector<cli::Given>& given) {
  std::string file, variables;
  std::vector<std::string> keys;
  for (const cli::Given& one : given) {
    if (one.option->key() == "config") continue;  // it says where, not what
    const std::size_t line = one.where.rfind(", line ");
    if (line != std::string::npos) {
      file = one.where.substr(0, line);
      keys.push_back(one.option->key());
    } else if (!one.where.empty()) {
      variables += (variables.empty() ? "" : ", ") + one.where;
    }
  }
  std::ranges::sort(keys);
  std::string text;
  if (!file.empty()) text = fmt::format("options from {}: {}", file, fmt::join(keys, ", "));
  if (variables.empty()) return text;
  return text + (text.empty() ? "options from" : "; from") + " the environment: " + variables;
}

}  // namespace

absl::StatusOr<CommandLine> parse_command_line(int argc, const char* const* argv,
                                               const cli::Settings& settings) {
  CommandLine line;
  line.relay_mbit = proto::kRelayMbit;
  line.max_sessions = proto::kMaxSessions;
  line.max_sessions_per_peer = proto::kMaxSessionsPerPeer;
  RunTexts texts;
  cli::Command program("shoal-node", kAbout);
  cli::Command& run = program.command("run", "Serve a span of a model");
  add_run(run, line, texts);
  cli::Command& plan = program.command(
      "plan", "Say how much of a model fits in which format, and how fast it could be");
  add_sizes(plan, line, texts);
  plan.group("");
  plan.flag("--json", line.json, "Print one JSON object");
  add_config(plan, texts);
  plan.reads_table_of("run");
  cli::Command& bootstrap = program.command(
      "bootstrap", "Be an address to join by: a member of the swarm's directory without blocks");
  std::string bootstrap_listen;
  bootstrap.group(kNetworkGroup);
  bootstrap
      .option("--listen", "HOST:PORT",
              "Address for TCP and UDP; without HOST all of this machine, IPv4 and IPv6. Port 0 "
              "picks a "
              "free one; name one if a firewall must let it through",
              cli::name(bootstrap_listen))
      .required();
  add_common(bootstrap, line, texts);
  cli::Command& service =
      program.command("service", "Have the node run by systemd, after a reboot too");
  cli::Command& install = service.command(
      "install",
      "Make a service of a node with these options, and start it: yours alone, without root; the "
      "machine's, as root");
  add_run(install, line, texts);
  install.reads_table_of("run");
  install.group("Service");
  install.flag("--replace", line.service.replace, "Write over a configuration that is there");
  install.flag("--no-start", line.service.no_start, "Only write the files");
  cli::Command& remove =
      service.command("remove", "End the service and take it away; configuration and key stay");
  cli::Command& service_status =
      service.command("status", "Say whether there is a service, and whether it runs");
  cli::Command& netcheck = program.command(
      "netcheck",
      "Say how others would reach a node of this machine, and what the router offers; exit "
      "status 1 where they would not, or nobody could be asked");
  add_swarm(netcheck, line);
  std::string netcheck_listen = ":0";
  netcheck.option("--listen", "HOST:PORT",
                  "The address that a node would listen on; not one that a running node has "
                  "(default: all of this machine, a free port)",
                  cli::name(netcheck_listen));
  netcheck.group("");
  std::string netcheck_log_level = "warn";
  add_log_level(netcheck, netcheck_log_level);
  netcheck.flag("--json", line.json, "Print one JSON object");
  const OwnerCommands owner = add_owner_commands(program, line.owner);
  for (const char* word : {"generate", "score", "swarm"}) {
    program.elsewhere(word, fmt::format("it is a command of shoal: shoal {}", word));
  }
  for (const char* word : {"start", "serve", "join"}) {
    program.elsewhere(word, "shoal-node run starts a node");
  }
  program.elsewhere("version", "write shoal-node --version");
  program.footer(
      "Exit status: 0 left as asked, 1 failed for what happened, 2 what was typed is wrong.");

  const std::string version = fmt::format("shoal-node " SHOAL_VERSION " (protocol {}.{})",
                                          proto::kProtocolMajor, proto::kProtocolMinor);
  const auto called = cli::invoke(
      program, version, std::vector<std::string>(argv + std::min(argc, 1), argv + argc), settings);
  if (!called.ok()) return called.status();
  if (!called->print.empty()) {
    line.print = called->print;
    return line;
  }
  if (owner.called(called->command)) {
    line.action = CommandLine::Action::kOwner;
    if (absl::Status status = settle_owner_line(owner, called->command, line.owner); !status.ok()) {
      return status;
    }
    return line;
  }
  if (called->command == &remove || called->command == &service_status) {
    line.action = CommandLine::Action::kService;
    line.service.action = called->command == &remove ? ServiceRequest::Action::kRemove
                                                     : ServiceRequest::Action::kStatus;
    return line;
  }
  line.action = called->command == &run         ? CommandLine::Action::kRun
                : called->command == &plan      ? CommandLine::Action::kPlan
                : called->command == &bootstrap ? CommandLine::Action::kBootstrap
                : called->command == &netcheck  ? CommandLine::Action::kNetCheck
                                                : CommandLine::Action::kService;
  if (line.action == CommandLine::Action::kBootstrap) line.listen = bootstrap_listen;
  if (line.action == CommandLine::Action::kNetCheck) {
    line.listen = netcheck_listen;
    line.log_level = netcheck_log_level;
  }
  line.relay = texts.relay == "on";
  line.reach = texts.reach == "direct"  ? ReachMode::kDirect
               : texts.reach == "relay" ? ReachMode::kRelay
                                        : ReachMode::kAuto;
  for (const cli::Given& one : called->given) {
    line.given.push_back({one.option->key(), one.texts, one.option->value.again});
    if (one.where.empty() && line.action == CommandLine::Action::kService) {
      line.service.options.push_back(
          {{one.option->key(), one.texts, one.option->value.again}, one.option->type});
    }
  }
  line.origins = origins_of(called->given);
  if (absl::Status status = check(line, texts); !status.ok()) {
    return cli::with_origins(status, *called);
  }
  return line;
}

}  // namespace shoal::node
