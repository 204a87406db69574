// SPDX-License-Identifier: Apache-2.0
// The real programs in an internet of routers: bootstrap nodes in the open, which relay, nodes and
// users behind whatever. Whether two of them talked directly is counted at the hosts, by the
// payload that they must have exchanged: so it does not depend on what the programs say. One
// thread.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/nat/internet.h"

namespace shoal::tests {

struct NatNode {
  const Host* host;
  std::unique_ptr<Process> process;
  std::string ready_file;
  std::filesystem::file_time_type started;
};

// What became of a prompt.
struct NatAnswer {
  std::string wrong;    // "" when the ids are the golden ones
  nlohmann::json json;  // of `shoal generate --json`
  double seconds = 0;   // of the whole command
};

class NatSwarm {
 public:
  explicit NatSwarm(const LinkOptions& access = {}, int relays = 2);
  ~NatSwarm();

  Internet& internet() { return internet_; }
  NatNode& relay(std::size_t index) { return relays_[index]; }
  std::size_t relays() const { return relays_.size(); }

  // Starts a node of the bundled model with blocks "B:E"; does not wait.
  NatNode& start(const Host& host, const std::string& blocks,
                 const std::vector<std::string>& arguments = {});
  // Seconds from its start until it is online; absent when it is not in time.
  static std::optional<double> online(NatNode& node, std::chrono::milliseconds timeout);
  static std::string peer_id(const NatNode& node);  // of one that is online
  // SIGTERM, and SIGKILL when that does not end it soon.
  void stop(NatNode& node);

  // shoal SUBCOMMAND --join RELAY ... ARGUMENTS on a host.
  std::vector<std::string> shoal_command(const std::string& subcommand,
                                         const std::vector<std::string>& arguments) const;
  // A prompt of golden.json, greedily, with `tokens` in all: the first are held against the golden
  // ids, all of them against what one process says.
  NatAnswer generate(const Host& host, std::size_t prompt, int tokens) const;
  // The same in two parts: the command, to be run on a host, and what became of it.
  std::vector<std::string> generate_command(std::size_t prompt, int tokens) const;
  static NatAnswer judged(const Outcome& outcome, std::size_t prompt, int tokens);
  // Addresses that the swarm's records have for a node, as a user there sees them; empty when it
  // sees none.
  std::vector<std::string> announced(const Host& user, const std::string& peer_id) const;
  // Bytes of activations that such a session sends from one hop to the next, at least.
  static std::uint64_t payload(std::size_t prompt, int tokens);

 private:
  NatNode& launch(std::deque<NatNode>& list, const Host& host, std::vector<std::string> command,
                  const std::vector<std::string>& arguments);

  TempDir folder_;
  Internet internet_;
  std::deque<NatNode> relays_;
  std::deque<NatNode> nodes_;
  int launched_ = 0;
};

}  // namespace shoal::tests
