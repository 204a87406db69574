// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace shoal::sim {
namespace {

constexpr int kUsageError = 2;
constexpr std::size_t kMaxPeers = 1'000'000;

void add_common(CLI::App& app, CommandLine& line, PopulationOptions& population) {
  app.add_option("--seed", population.seed, "Of everything random in the run")
      ->capture_default_str();
  app.add_option("--loss", population.loss, "Share of datagrams that are lost")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_flag("--json", line.json, "One JSON object instead of the table");
}

void add_peers(CLI::App& app, PopulationOptions& population) {
  app.add_option("--peers", population.peers, "Peers of the swarm")
      ->check(CLI::Range(std::size_t{2}, kMaxPeers))
      ->capture_default_str();
}

void add_lookup(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("lookup", "Lookups after a share of the peers vanished");
  LookupOptions& options = line.lookup;
  add_peers(command, options.population);
  add_common(command, line, options.population);
  command.add_option("--dead", options.dead, "Share of peers that vanish before the lookups")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  command.add_option("--hostile", options.population.hostile, "Share of peers that collude")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command.add_flag("--secure", options.secure, "Lookups over disjoint paths");
  command.add_option("--lookups", options.lookups, "How many")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000'000}))
      ->capture_default_str();
  command.add_option("--records", options.records, "Records published before, one per peer")
      ->check(CLI::Range(std::size_t{1}, kMaxPeers))
      ->capture_default_str();
}

}  // namespace

int parse_command_line(int argc, char** argv, CommandLine& line) {
  CLI::App app(
      "Simulates swarms of the real DHT core on virtual time. The same seed gives the same run.",
      "shoal-sim");
  app.require_subcommand(1);
  add_lookup(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for_help = error.get_exit_code() == 0;
    app.exit(error);
    return asked_for_help ? -1 : kUsageError;
  }
  line.command = app.get_subcommands().front()->get_name();
  return 0;
}

}  // namespace shoal::sim
