// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/process_swarm.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace shoal::tests {

ProcessSwarm::ProcessSwarm(SwarmOptions options) : options_(std::move(options)) {
  if (!options_.with_key) return;
  const Outcome made = run({program("shoal"), "swarm", "new", key_file()}, 10'000);
  if (made.status != 0) throw std::runtime_error("shoal swarm new: " + made.err);
}

std::string ProcessSwarm::ready_file(std::size_t index) const {
  return folder_.file("node" + std::to_string(index) + ".json");
}

void ProcessSwarm::start_node(const std::string& blocks,
                              const std::vector<std::string>& arguments) {
  const std::string name = "node" + std::to_string(nodes_.size());
  std::vector<std::string> command = {program("shoal-node"),
                                      "run",
                                      "--blocks",
                                      blocks,
                                      "--listen",
                                      "127.0.0.1:0",
                                      "--identity",
                                      folder_.file(name + ".key"),
                                      "--ready-file",
                                      folder_.file(name + ".json"),
                                      "--threads",
                                      "1",
                                      "--log-level",
                                      "warn"};
  if (std::find(arguments.begin(), arguments.end(), "--model") == arguments.end()) {
    command.insert(command.end(), {"--model", options_.model});
  }
  if (nodes_.empty()) {
    command.push_back("--new-swarm");
  } else {
    command.insert(command.end(), {"--join", addresses_.front()});
  }
  if (options_.with_key) command.insert(command.end(), {"--swarm-key", key_file()});
  command.insert(command.end(), options_.node_arguments.begin(), options_.node_arguments.end());
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto node = std::make_unique<Process>(command);
  if (!wait_for_file(folder_.file(name + ".json"), *node, 15'000)) {
    throw std::runtime_error(name + " did not come online: " + node->err());
  }
  const auto ready = nlohmann::json::parse(read_file(folder_.file(name + ".json")));
  addresses_.push_back(ready.at("address").get<std::string>());
  peer_ids_.push_back(ready.at("peer_id").get<std::string>());
  nodes_.push_back(std::move(node));
}

std::vector<std::string> ProcessSwarm::shoal_command(const std::string& subcommand,
                                                     std::vector<std::string> arguments,
                                                     const std::string& model) const {
  std::vector<std::string> command = {program("shoal"), subcommand,
                                      "--model",        model.empty() ? options_.model : model,
                                      "--join",         addresses_.front()};
  if (options_.with_key) command.insert(command.end(), {"--swarm-key", key_file()});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Outcome ProcessSwarm::shoal(const std::string& subcommand,
                            std::vector<std::string> arguments) const {
  return run(shoal_command(subcommand, std::move(arguments)), 60'000);
}

bool ProcessSwarm::stop() {
  for (auto& node : nodes_) node->signal(SIGTERM);
  bool clean = true;
  for (auto& node : nodes_) clean = node->wait(15'000) == 0 && clean;
  return clean;
}

std::string demo_model() {
  const std::string bundled = program("../share/shoal/models/demo");
  if (std::filesystem::exists(bundled)) return bundled;
  return std::string(SHOAL_SOURCE_DIR) + "/models/demo";
}

nlohmann::json golden() { return nlohmann::json::parse(read_file(kDemoModel + "/golden.json")); }

}  // namespace shoal::tests
