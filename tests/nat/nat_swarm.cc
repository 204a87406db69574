// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/nat_swarm.h"

#include <signal.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kRelayStart{20'000};
constexpr int kCommandMs = 60'000;
constexpr std::uint64_t kRowBytes = 256 * 4;  // of the bundled model, as f32

std::vector<std::string> prompt_arguments(const json& prompt, int tokens) {
  return {"--json",
          "--greedy",
          "--ignore-eos",
          "--max-tokens",
          std::to_string(tokens),
          prompt.at("prompt").get<std::string>()};
}

// What one process says.
const json& ids_alone(const json& prompt, int tokens) {
  static std::map<std::pair<std::string, int>, json> known;
  const auto [at, is_new] = known.try_emplace({prompt.at("prompt").get<std::string>(), tokens});
  if (!is_new) return at->second;
  std::vector<std::string> command = {program("shoal"), "generate", "--local", "--model",
                                      kDemoModel};
  const auto arguments = prompt_arguments(prompt, tokens);
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Outcome outcome = run(command, kCommandMs);
  if (outcome.status != 0) throw std::runtime_error("shoal generate --local: " + outcome.err);
  at->second = json::parse(outcome.out).at("ids");
  return at->second;
}

}  // namespace

NatSwarm::NatSwarm(const LinkOptions& access, int relays) : internet_(access) {
  for (int i = 0; i < relays; ++i) {
    const Host& host = internet_.host(NatKind::kOpen);
    std::vector<std::string> arguments = {"--listen", ":7000"};
    if (i > 0) arguments.insert(arguments.end(), {"--join", relays_[0].host->address + ":7000"});
    NatNode& relay = launch(relays_, host, {program("shoal-node"), "bootstrap"}, arguments);
    if (!online(relay, kRelayStart)) {
      throw std::runtime_error("a bootstrap node did not come online: " + relay.process->err());
    }
  }
}

NatSwarm::~NatSwarm() = default;

NatNode& NatSwarm::launch(std::deque<NatNode>& list, const Host& host,
                          std::vector<std::string> command,
                          const std::vector<std::string>& arguments) {
  const std::string name = folder_.file("node" + std::to_string(launched_++));
  command.insert(command.end(), {"--identity", name + ".key", "--ready-file", name + ".json"});
  command.insert(command.end(), arguments.begin(), arguments.end());
  NatNode& node = list.emplace_back();
  node.host = &host;
  node.ready_file = name + ".json";
  node.started = std::filesystem::file_time_type::clock::now();
  node.process = host.network.start(command);
  return node;
}

NatNode& NatSwarm::start(const Host& host, const std::string& blocks,
                         const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {
      program("shoal-node"), "run",  "--model",  kDemoModel, "--threads", "1",
      "--kv-positions",      "4096", "--blocks", blocks,     "--listen",  ":7000"};
  for (const NatNode& relay : relays_) {
    command.insert(command.end(), {"--join", relay.host->address + ":7000"});
  }
  return launch(nodes_, host, std::move(command), arguments);
}

std::optional<double> NatSwarm::online(NatNode& node, milliseconds timeout) {
  if (!wait_for_file(node.ready_file, *node.process, static_cast<int>(timeout.count()))) {
    return std::nullopt;
  }
  return std::chrono::duration<double>(std::filesystem::last_write_time(node.ready_file) -
                                       node.started)
      .count();
}

void NatSwarm::stop(NatNode& node) {
  node.process->signal(SIGTERM);
  if (node.process->wait(5'000) != -1) return;
  node.process->signal(SIGKILL);
  node.process->wait(5'000);
}

std::vector<std::string> NatSwarm::shoal_command(const std::string& subcommand,
                                                 const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {program("shoal"), subcommand};
  for (const NatNode& relay : relays_) {
    command.insert(command.end(), {"--join", relay.host->address + ":7000"});
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::string NatSwarm::peer_id(const NatNode& node) {
  return json::parse(read_file(node.ready_file)).at("peer_id").get<std::string>();
}

std::vector<std::string> NatSwarm::generate_command(std::size_t prompt, int tokens) const {
  std::vector<std::string> arguments = {"--model", kDemoModel, "--wait", "10"};
  const auto more = prompt_arguments(golden().at("prompts").at(prompt), tokens);
  arguments.insert(arguments.end(), more.begin(), more.end());
  return shoal_command("generate", arguments);
}

NatAnswer NatSwarm::generate(const Host& host, std::size_t prompt, int tokens) const {
  return judged(host.network.run(generate_command(prompt, tokens), kCommandMs), prompt, tokens);
}

NatAnswer NatSwarm::judged(const Outcome& outcome, std::size_t prompt, int tokens) {
  const json asked = golden().at("prompts").at(prompt);
  NatAnswer answer;
  answer.seconds = outcome.seconds;
  if (outcome.status != 0) {
    answer.wrong = outcome.err.empty() ? "no word" : outcome.err;
    return answer;
  }
  answer.json = json::parse(outcome.out, nullptr, false);
  const json& ids = answer.json.at("ids");
  const json& greedy = asked.at("greedy_ids");
  const auto common = static_cast<std::ptrdiff_t>(std::min(ids.size(), greedy.size()));
  if (!std::equal(ids.begin(), ids.begin() + common, greedy.begin())) {
    answer.wrong = "not the golden ids: " + ids.dump();
  } else if (ids != ids_alone(asked, tokens)) {
    answer.wrong = "not the ids of one process: " + ids.dump();
  } else if (!answer.json.at("exact").get<bool>()) {
    answer.wrong = "not exact";
  }
  return answer;
}

std::vector<std::string> NatSwarm::announced(const Host& user, const std::string& peer_id) const {
  const Outcome status = user.network.run(shoal_command("status", {"--json"}), kCommandMs);
  const json seen = json::parse(status.out, nullptr, false);
  std::vector<std::string> result;
  if (seen.is_discarded()) return result;
  for (const json& model : seen.at("models")) {
    for (const json& node : model.at("nodes")) {
      if (node.at("peer_id") != peer_id) continue;
      for (const json& address : node.at("addresses")) result.push_back(address.get<std::string>());
    }
  }
  return result;
}

std::uint64_t NatSwarm::payload(std::size_t prompt, int tokens) {
  const std::size_t rows = golden().at("prompts").at(prompt).at("prompt_ids").size();
  return (rows + static_cast<std::size_t>(tokens) - 1) * kRowBytes;
}

}  // namespace shoal::tests
