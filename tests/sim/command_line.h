// SPDX-License-Identifier: Apache-2.0
// The command line of shoal-sim: which scenario, with which figures.
#pragma once

#include <string>

#include "tests/sim/model_primitives.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {

struct CommandLine {
  std::string command;
  bool json = false;
  Crypto crypto = Crypto::kModel;
  LookupOptions lookup;
  PublishOptions publish;
  SmallOptions small;
  ChurnOptions churn;
  FaultsOptions faults;
  SybilOptions sybil;
  FloodOptions flood;
};

// 0 and a filled `line`, or the exit status after it has told on stdout or stderr.
int parse_command_line(int argc, char** argv, CommandLine& line);

}  // namespace shoal::sim
