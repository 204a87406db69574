// SPDX-License-Identifier: Apache-2.0
// What an owner asks of the nodes that run on this machine: shoal-node status, pause, resume,
// drain. Reading the line has no effect; asking talks to their local sockets and may wait for
// seconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/command.h"
#include "node/control/control_request.h"

namespace shoal::node {

struct OwnerLine {
  ControlRequest request;
  std::string identity;  // the file of the node that is meant; empty: the only one, of status all
  bool json = false;

  // As typed.
  std::string pause_for;
};

// The commands, whose values land in `line` (its verb does not).
struct OwnerCommands {
  const cli::Command* status = nullptr;
  const cli::Command* pause = nullptr;
  const cli::Command* resume = nullptr;
  const cli::Command* drain = nullptr;

  bool called(const cli::Command* command) const {
    return command == status || command == pause || command == resume || command == drain;
  }
};
OwnerCommands add_owner_commands(cli::Command& program, OwnerLine& line);
// Checks what was typed, and sets the verb.
absl::Status settle_owner_line(const OwnerCommands& commands, const cli::Command* called,
                               OwnerLine& line);

// What to print. An error is one sentence that names the way out.
absl::StatusOr<std::string> ask_as_owner(const OwnerLine& line);
// Of another node that this user runs here on this port: its process; 0: there is none.
int own_node_on_port(std::uint16_t port);

}  // namespace shoal::node
