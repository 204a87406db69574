// SPDX-License-Identifier: Apache-2.0
#include "node/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>

#include "kernels/attention.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

constexpr const char* kAbout =
    "Serves a span of a language model's blocks to a swarm.\n"
    "\n"
    "  start a swarm   shoal-node run --model DIR --new-swarm --listen 0.0.0.0:7000\n"
    "  join a swarm    shoal-node run --model DIR --join HOST:7000\n"
    "  stop            Ctrl-C or SIGTERM: finishes running sessions, then leaves; a second one "
    "leaves at once";

void add_common(CLI::App& app, CommandLine& line) {
  app.add_option("--join", line.join, "An address of the swarm; may be given several times")
      ->type_name("HOST:PORT")
      ->expected(1, 64)
      ->allow_extra_args(false);
  app.add_option("--announce", line.announce,
                 "Where others reach this node, when that is not --listen: behind a router that "
                 "forwards a port, "
                 "for example. Port 0: the one listened on")
      ->type_name("HOST:PORT");
  app.add_option("--swarm-key", line.swarm_key,
                 "The private swarm's key, made by \"shoal swarm new FILE\"")
      ->type_name("FILE");
  app.add_option("--identity", line.identity,
                 "This node's key; made when missing (default: one in ~/.local/state/shoal)")
      ->type_name("FILE");
  app.add_option("--log-level", line.log_level, "What is logged on stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  app.add_option(
         "--metrics", line.metrics,
         "Serve metrics for Prometheus at http://HOST:PORT/metrics; port 0 picks a free one. "
         "Whoever reaches the address may read them")
      ->type_name("HOST:PORT");
  app.add_option("--ready-file", line.ready_file,
                 "JSON with address and peer id; exists while the node is online")
      ->type_name("FILE");
}

void add_run(CLI::App& app, CommandLine& line, std::string& blocks, std::string& device) {
  app.add_option("--model", line.model, "A Hugging Face model folder: config.json and safetensors")
      ->type_name("DIR")
      ->required();
  app.add_option("--model-name", line.model_name,
                 "The model's name for people (default: the folder's)")
      ->type_name("NAME");
  app.add_option(
         "--blocks", blocks,
         "Blocks to serve, B to E-1 (default: as many as fit, where the swarm needs them most)")
      ->type_name("B:E");
  app.add_flag("--new-swarm", line.new_swarm, "Start a swarm instead of joining one");
  app.add_flag("--add-model", line.add_model,
               "Join even if the swarm serves only other models so far");
  app.add_option("--listen", line.listen,
                 "Address for TCP and UDP; port 0 picks a free one. Name a port if a firewall must "
                 "let it through")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--threads", line.threads, "CPU threads (default: one per core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_option("--device", device, "Where to compute")
      ->check(CLI::IsMember({"cpu"}))
      ->capture_default_str();
  app.add_option("--kv-positions", line.kv_positions,
                 "Positions of all sessions together that are kept in memory (default: what fits, "
                 "at most 65536)")
      ->type_name("N")
      ->check(CLI::Range(kernels::kPagePositions, std::int64_t{1} << 32));
  app.add_option("--max-sessions", line.max_sessions, "Sessions at a time")
      ->type_name("N")
      ->check(CLI::Range(1u, proto::kMaxSessions))
      ->capture_default_str();
  app.add_option("--max-sessions-per-peer", line.max_sessions_per_peer,
                 "Sessions of one client at a time")
      ->type_name("N")
      ->check(CLI::Range(1u, proto::kMaxSessions))
      ->capture_default_str();
  app.add_option("--public-name", line.public_name,
                 "Your name or the node's, shown in the swarm's status")
      ->type_name("NAME");
  app.add_option("--drain-timeout", line.drain_timeout_s,
                 "Seconds that running sessions get to finish on SIGTERM")
      ->type_name("S")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  add_common(app, line);
}

absl::Status wrong(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return absl::InvalidArgumentError(text);
}

absl::Status check(CommandLine& line, const std::string& blocks) {
  if (!blocks.empty()) {
    const auto span = proto::parse_span(blocks);
    if (!span.ok()) {
      return wrong(fmt::format("--blocks: {}", std::string(span.status().message().data(),
                                                           span.status().message().size())));
    }
    line.blocks = *span;
  }
  if (line.action == CommandLine::Action::kRun) {
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
  std::vector<std::string> addresses = line.join;
  addresses.push_back(line.listen);
  if (!line.announce.empty()) addresses.push_back(line.announce);
  if (!line.metrics.empty()) addresses.push_back(line.metrics);
  for (const std::string& address : addresses) {
    const auto parsed = proto::parse_host_port(address);
    if (!parsed.ok()) {
      return wrong(std::string(parsed.status().message().data(), parsed.status().message().size()));
    }
  }
  for (const std::string& address : line.join) {
    if (proto::parse_host_port(address)->port == 0) {
      return wrong(fmt::format("--join {}: name the port of a running node", address));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  line.max_sessions = proto::kMaxSessions;
  line.max_sessions_per_peer = proto::kMaxSessionsPerPeer;
  std::string blocks;
  std::string device = "cpu";
  const std::string version = fmt::format("shoal-node " SHOAL_VERSION " (protocol {}.{})",
                                          proto::kProtocolMajor, proto::kProtocolMinor);

  CLI::App app(kAbout, "shoal-node");
  app.set_version_flag("--version", version);
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run", "Serve a span of a model");
  add_run(*run, line, blocks, device);
  CLI::App* bootstrap = app.add_subcommand(
      "bootstrap", "Be an address to join by: a member of the swarm's directory without blocks");
  bootstrap->add_option("--listen", line.listen, "UDP address; port 0 picks a free one")
      ->type_name("HOST:PORT")
      ->required();
  add_common(*bootstrap, line);
  for (CLI::App* sub : {run, bootstrap}) {
    sub->add_flag_callback(
        "--version", [&] { throw CLI::CallForVersion(version, 0); }, "Print the version");
  }

  try {
    app.parse(argc, argv);
    line.action = run->parsed() ? CommandLine::Action::kRun : CommandLine::Action::kBootstrap;
  } catch (const CLI::CallForHelp&) {
    const CLI::App* asked = run->parsed() ? run : bootstrap->parsed() ? bootstrap : &app;
    line.print = asked->help();
  } catch (const CLI::CallForVersion&) {
    line.print = version + "\n";
  } catch (const CLI::ParseError& error) {
    if (argc > 1 && argv[1][0] != '-' && !run->parsed() && !bootstrap->parsed()) {
      return wrong(fmt::format(
          "\"{}\" is not a command: use run or bootstrap (see shoal-node --help)", argv[1]));
    }
    return wrong(fmt::format("{} (see shoal-node {}--help)", error.what(),
                             run->parsed()         ? "run "
                             : bootstrap->parsed() ? "bootstrap "
                                                   : ""));
  }
  if (line.action == CommandLine::Action::kPrint) return line;
  if (absl::Status status = check(line, blocks); !status.ok()) return status;
  return line;
}

}  // namespace shoal::node
