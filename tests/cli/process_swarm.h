// SPDX-License-Identifier: Apache-2.0
// A swarm of shoal-node processes on loopback, and the shoal program run against it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/model_folder.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {

// The bundled model: of the bundle that this program lies in, else of the checkout.
std::string demo_model();
inline const std::string kDemoModel = demo_model();

struct SwarmOptions {
  std::string model = kDemoModel;
  bool with_key = false;
  std::vector<std::string> node_arguments = {};  // for every node
};

class ProcessSwarm {
 public:
  explicit ProcessSwarm(SwarmOptions options = {});

  // Starts a node with blocks "B:E" and waits until it is online; throws std::runtime_error with
  // its stderr if not.
  void start_node(const std::string& blocks, const std::vector<std::string>& arguments = {});
  Process& node(std::size_t index) { return *nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }
  const std::string& address(std::size_t index) const { return addresses_[index]; }
  const std::string& peer_id(std::size_t index) const { return peer_ids_[index]; }
  std::string ready_file(std::size_t index) const;
  std::string key_file() const { return folder_.file("swarm.key"); }

  // shoal SUBCOMMAND --model ... --join FIRST [--swarm-key ...] ARGUMENTS
  std::vector<std::string> shoal_command(const std::string& subcommand,
                                         std::vector<std::string> arguments,
                                         const std::string& model = "") const;
  Outcome shoal(const std::string& subcommand, std::vector<std::string> arguments) const;
  // SIGTERM to all nodes; true when each exits with status 0 within 15 s.
  bool stop();

  const TempDir& folder() const { return folder_; }

 private:
  SwarmOptions options_;
  TempDir folder_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::vector<std::string> addresses_;
  std::vector<std::string> peer_ids_;
};

nlohmann::json golden();

}  // namespace shoal::tests
