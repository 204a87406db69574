// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/command_line.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

namespace shoal::sim {
namespace {

constexpr int kUsageError = 2;
constexpr std::size_t kMaxPeers = 1'000'000;

const std::map<std::string, Crypto> kCryptos = {{"sodium", Crypto::kSodium},
                                                {"model", Crypto::kModel}};

const std::map<std::string, Collusion> kCollusions = {{"withhold", Collusion::kWithhold},
                                                      {"old", Collusion::kOld},
                                                      {"ghosts", Collusion::kGhosts},
                                                      {"mixed", Collusion::kMixed}};

void add_output(CLI::App& app, CommandLine& line) {
  app.add_option("--crypto", line.crypto, "sodium: the real one; model: hashes of the same sizes")
      ->transform(CLI::CheckedTransformer(kCryptos))
      ->type_name("sodium|model")
      ->default_str("model");
  app.add_flag("--json", line.json, "One JSON object instead of the table");
}

void add_common(CLI::App& app, CommandLine& line, std::uint64_t& seed, double& loss) {
  app.add_option("--seed", seed, "Of everything random in the run")->capture_default_str();
  app.add_option("--loss", loss, "Share of datagrams that are lost")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  add_output(app, line);
}

CLI::Option* add_share(CLI::App& app, const std::string& name, double& value, const char* text) {
  return app.add_option(name, value, text)->check(CLI::Range(0.0, 0.99))->capture_default_str();
}

void add_count(CLI::App& app, const std::string& name, std::size_t& value, const char* text,
               std::size_t most) {
  app.add_option(name, value, text)->check(CLI::Range(std::size_t{1}, most))->capture_default_str();
}

void add_collusion(CLI::App& app, Collusion& collusion) {
  app.add_option("--collusion", collusion,
                 "What hostile peers do: withhold records, show old ones, or tell of contacts that "
                 "do not exist")
      ->transform(CLI::CheckedTransformer(kCollusions))
      ->type_name("withhold|old|ghosts|mixed")
      ->default_str("mixed");
}

// What scenarios of large swarms share.
void add_population(CLI::App& app, CommandLine& line, PopulationOptions& population) {
  add_count(app, "--peers", population.peers, "Peers of the swarm", kMaxPeers);
  add_common(app, line, population.seed, population.loss);
}

void add_lookup(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("lookup", "Lookups after a share of the peers vanished");
  LookupOptions& options = line.lookup;
  add_population(command, line, options.population);
  add_share(command, "--dead", options.dead, "Share of peers that vanish before the lookups");
  add_share(command, "--hostile", options.population.hostile, "Share of peers that collude");
  add_collusion(command, options.population.collusion);
  command.add_flag("--secure", options.secure, "Every lookup goes over disjoint paths");
  add_count(command, "--lookups", options.lookups, "How many", 10'000'000);
  add_count(command, "--records", options.records, "Published before, one per peer", kMaxPeers);
}

void add_publish(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("publish", "Random peers publish their records");
  PublishOptions& options = line.publish;
  add_population(command, line, options.population);
  add_share(command, "--dead", options.dead, "Share of peers that vanish before");
  add_share(command, "--hostile", options.population.hostile, "Share of peers that collude");
  add_collusion(command, options.population.collusion);
  add_count(command, "--publishes", options.publishes, "How many", kMaxPeers);
}

void add_small(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("small", "Swarms of few peers that die and return");
  SmallOptions& options = line.small;
  command.add_option("--peers", options.sizes, "Sizes")
      ->check(CLI::Range(std::size_t{1}, std::size_t{20}))
      ->capture_default_str();
  add_count(command, "--runs", options.runs, "Of each size, with one seed after the other",
            100'000);
  add_common(command, line, options.seed, options.loss);
}

void add_churn(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("churn", "Peers come and go, records are republished");
  ChurnOptions& options = line.churn;
  add_population(command, line, options.population);
  command.add_option("--lifetime", options.lifetime_min, "Mean of exponential lifetimes, minutes")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  command.add_option("--hours", options.hours, "Simulated")
      ->check(CLI::Range(0.01, 1e4))
      ->capture_default_str();
  add_count(command, "--records", options.records, "Owners, who come and go, too", kMaxPeers);
  command.add_option("--probe", options.probe_s, "Seconds between lookups for one record")
      ->check(CLI::Range(1.0, 1e4))
      ->capture_default_str();
  command
      .add_option("--threads", options.population.threads, "The run is the same with any number")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_flag("--progress", options.progress, "A line on stderr for each simulated hour");
}

void add_sybil(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("sybil", "Hostile ids beside single keys");
  SybilOptions& options = line.sybil;
  add_population(command, line, options.population);
  add_count(command, "--keys", options.keys, "That are attacked", 1000);
  add_count(command, "--sybils", options.sybils, "Per key", 10'000);
  add_collusion(command, options.population.collusion);
  add_count(command, "--networks", options.networks, "Of /24, per key, that they come from", 250);
  add_count(command, "--lookups", options.lookups, "For these keys, all together", 10'000'000);
  command.add_flag("--secure", options.secure, "Every lookup goes over disjoint paths");
}

void add_flood(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("flood", "One peer gets more than it can take");
  FloodOptions& options = line.flood;
  options.population.peers = 2000;
  add_population(command, line, options.population);
  command.add_option("--capacity", options.capacity, "Datagrams per second that a peer serves")
      ->check(CLI::Range(10.0, 1e6))
      ->capture_default_str();
  add_count(command, "--queue", options.queue, "Datagrams that a socket holds", 1'000'000);
  command.add_option("--factor", options.factor, "Of the flood, in capacities")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  add_count(command, "--flooders", options.flooders, "Hosts that it comes from", 1000);
  add_count(command, "--lookups", options.lookups, "Before, and meanwhile", 10'000'000);
  command.add_option("--flood", options.flood_s, "Seconds that it lasts")
      ->check(CLI::Range(1.0, 1e5))
      ->capture_default_str();
}

// "A:B"; the error names the form.
std::string parse_seeds(const std::string& text, FaultsOptions& options) {
  const std::size_t colon = text.find(':');
  const auto number = [](std::string_view part, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc{} && end == part.data() + part.size() && !part.empty();
  };
  if (colon != std::string::npos && number(text.substr(0, colon), options.begin) &&
      number(text.substr(colon + 1), options.end) && options.begin < options.end) {
    return {};
  }
  return "\"" + text + "\" is no range of seeds: write FIRST:END, for example 0:1000";
}

void add_faults(CLI::App& app, CommandLine& line) {
  CLI::App& command = *app.add_subcommand("faults", "Small swarms under faults, one per seed");
  FaultsOptions& options = line.faults;
  command
      .add_option_function<std::string>(
          "--seeds",
          [&options](const std::string& text) {
            if (const std::string error = parse_seeds(text, options); !error.empty())
              throw CLI::ValidationError("--seeds", error);
          },
          "Seeds from FIRST to before END")
      ->type_name("FIRST:END")
      ->default_str("0:1000");
  add_count(command, "--jobs", options.jobs, "Threads", 256);
  command.add_flag("--verbose", options.verbose, "What each seed draws, on stderr");
  add_output(command, line);
}

}  // namespace

int parse_command_line(int argc, char** argv, CommandLine& line) {
  CLI::App app(
      "Simulates swarms of the real DHT core on virtual time. The same seed gives the same run.",
      "shoal-sim");
  app.require_subcommand(1);
  add_lookup(app, line);
  add_publish(app, line);
  add_small(app, line);
  add_churn(app, line);
  add_sybil(app, line);
  add_flood(app, line);
  add_faults(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for_help = error.get_exit_code() == 0;
    app.exit(error);
    return asked_for_help ? -1 : kUsageError;
  }
  line.faults.crypto = line.crypto == Crypto::kModel ? "model" : "sodium";
  line.command = app.get_subcommands().front()->get_name();
  return 0;
}

}  // namespace shoal::sim
