// SPDX-License-Identifier: Apache-2.0
// nat-matrix: which pairs of routers the programs work over, as a table (scripts/nat-matrix builds
// and runs it). Rows are the routers of a node, columns those of users or of next hops.
// `nat-matrix trial NAME ...` measures instead (trials.h). Needs root.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "tests/nat/matrix.h"
#include "tests/nat/trials.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

constexpr const char* kNeighbour = "neighbour";

struct Options {
  std::vector<std::string> roles = {"user", "next-hop"};
  std::vector<std::string> nodes;
  std::vector<std::string> others;
  int tokens = 128;
  double one_way_ms = 1;  // of each site's line
  std::string logs;
};

struct Tally {
  int cells = 0;
  int right = 0;
  int direct_in_theory = 0;
  int direct = 0;
  std::vector<std::string> notes;
};

std::map<std::string, NatKind> kinds_by_name() {
  std::map<std::string, NatKind> result;
  for (const NatKind kind : kNatKinds) result.emplace(name(kind), kind);
  return result;
}

bool chosen(const std::vector<std::string>& names, std::string_view one) {
  return names.empty() || std::ranges::find(names, one) != names.end();
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// One cell, counted and as the table shows it.
std::string shown(const NatCell& cell, bool direct_possible, const std::string& title,
                  Tally& tally) {
  ++tally.cells;
  const char mark = letter(cell);
  if (mark != 'F') ++tally.right;
  if (direct_possible) {
    ++tally.direct_in_theory;
    if (mark == 'D' || mark == 'u') ++tally.direct;
  }
  if (mark == 'F') tally.notes.push_back(title + ": " + first_line(cell.wrong));
  const bool missed = direct_possible && mark == 'r';
  return fmt::format("{}{} {:.0f}% {:.1f}s", mark, missed ? "!" : "", 100 * cell.direct_share,
                     cell.seconds);
}

// What goes between two that have a router each, or the same one.
void print_row(NatRole role, NatKind kind, const Options& options, Tally& tally) {
  const bool user = role == NatRole::kUser;
  LinkOptions access;
  access.one_way = std::chrono::microseconds(static_cast<int>(options.one_way_ms * 1000));
  MatrixRow row(role, kind, access);
  fmt::print("| {} | {} |", name(kind),
             row.online() ? fmt::format("{:.1f}s", *row.online()) : std::string("never"));
  for (const NatKind other : kNatKinds) {
    if (!chosen(options.others, name(other))) continue;
    const NatCell cell = row.run(other, options.tokens);
    const std::string title =
        fmt::format("{} {} {}", name(kind), user ? "asked by" : "pushes to", name(other));
    fmt::print(" {} |", shown(cell, direct_in_theory(kind, other), title, tally));
    std::fflush(stdout);
  }
  if (chosen(options.others, kNeighbour)) {
    if (kind == NatKind::kOpen) {
      fmt::print(" |");
    } else {
      const NatCell cell = row.run_neighbour(options.tokens);
      const std::string title =
          fmt::format("{} {} its neighbour", name(kind), user ? "asked by" : "pushes to");
      fmt::print(" {} |", shown(cell, true, title, tally));
    }
  }
  fmt::print("\n");
  std::fflush(stdout);
  if (!options.logs.empty()) {
    write_file(fmt::format("{}/{}-{}.log", options.logs, user ? "user" : "next-hop", name(kind)),
               row.logs());
  }
}

int print_matrix(const Options& options) {
  Tally tally;
  for (const auto& [role, title, role_name] :
       {std::tuple{NatRole::kUser, "node \\ user", "user"},
        std::tuple{NatRole::kNextHop, "node \\ next hop", "next-hop"}}) {
    if (!chosen(options.roles, role_name)) continue;
    fmt::print("\n| {} | online |", title);
    std::string line = "\n| --- | --- |";
    for (const NatKind other : kNatKinds) {
      if (!chosen(options.others, name(other))) continue;
      fmt::print(" {} |", name(other));
      line += " --- |";
    }
    if (chosen(options.others, kNeighbour)) {
      fmt::print(" {} |", kNeighbour);
      line += " --- |";
    }
    fmt::print("{}\n", line);
    for (const NatKind kind : kNatKinds) {
      if (chosen(options.nodes, name(kind))) print_row(role, kind, options, tally);
    }
  }
  fmt::print(
      "\nD direct, u moved to a direct connection on the way, r over a relay (! where theory "
      "allows more), F failed; share of the payload that went directly; seconds of the "
      "command.\n\n{} of {} pairs right; direct {} of {} that can be in theory.\n",
      tally.right, tally.cells, tally.direct, tally.direct_in_theory);
  for (const std::string& note : tally.notes) fmt::print("F {}\n", note);
  return tally.right == tally.cells ? 0 : 1;
}

int run_trials(const std::vector<std::string>& names) {
  int failed = 0;
  for (const Trial& trial : nat_trials()) {
    if (!chosen(names, trial.name)) continue;
    fmt::print("\n{} ({})\n\n", trial.about, trial.name);
    try {
      trial.run();
    } catch (const std::exception& error) {
      ++failed;
      fmt::print("failed: {}\n", error.what());
    }
    std::fflush(stdout);
  }
  return failed == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
  Options options;
  CLI::App app("Which pairs of routers the programs work over.");
  std::vector<std::string> names;
  for (const auto& [kind_name, kind] : kinds_by_name()) names.push_back(kind_name);
  std::vector<std::string> other_names = names;
  other_names.emplace_back(kNeighbour);
  app.add_option("--role", options.roles, "What the others are: user, next-hop")
      ->check(CLI::IsMember({"user", "next-hop"}));
  app.add_option("--node", options.nodes, "Only these routers of the node")
      ->check(CLI::IsMember(names));
  app.add_option("--other", options.others, "Only these routers of the others")
      ->check(CLI::IsMember(other_names));
  app.add_option("--tokens", options.tokens, "Tokens of a session")->capture_default_str();
  app.add_option("--one-way", options.one_way_ms, "Delay of each site's line, ms")
      ->capture_default_str();
  app.add_option("--logs", options.logs, "Folder for what the programs say")
      ->check(CLI::ExistingDirectory);
  std::vector<std::string> trials;
  std::vector<std::string> trial_names;
  for (const Trial& trial : nat_trials()) trial_names.push_back(trial.name);
  CLI::App* trial = app.add_subcommand("trial", "Measure instead of filling the table");
  trial->add_option("NAME", trials, "Only these")->check(CLI::IsMember(trial_names));
  CLI11_PARSE(app, argc, argv);
  if (const std::string why = Network::unavailable(); !why.empty()) {
    fmt::print(stderr, "nat-matrix: {}\n", why);
    return 1;
  }
  if (*trial) return run_trials(trials);
  return print_matrix(options);
}

}  // namespace
}  // namespace shoal::tests

int main(int argc, char** argv) {
  try {
    return shoal::tests::main_of(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "nat-matrix: {}\n", error.what());
    return 1;
  }
}
