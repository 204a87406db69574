// SPDX-License-Identifier: Apache-2.0
// A swarm of processes that serves the demo model, and `shoal serve` in front of it. Owns both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {

class ServedPage {
 public:
  // nodes: {"0:3", its name}; without any the server runs the model by itself.
  explicit ServedPage(const std::vector<std::pair<std::string, std::string>>& nodes,
                      const std::vector<std::string>& arguments = {});

  std::string url() const;
  std::uint16_t port() const { return port_; }
  Process& server() { return *server_; }
  ProcessSwarm& swarm() { return swarm_; }

 private:
  ProcessSwarm swarm_;
  std::unique_ptr<Process> server_;
  std::uint16_t port_ = 0;
};

}  // namespace shoal::tests
