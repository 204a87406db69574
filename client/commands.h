// SPDX-License-Identifier: Apache-2.0
// The subcommands of `shoal`. Each writes its result to stdout and returns OK, or the one error for
// main to print. An interrupted command returns CANCELLED after its output is flushed.
#pragma once

#include "absl/status/statusor.h"
#include "client/command_line.h"
#include "client/interrupt.h"
#include "client/swarm_connection.h"

namespace shoal::client {

absl::Status run_generate(const GenerateFlags& flags, const Interrupt& interrupt);
absl::Status run_score(const ScoreFlags& flags, const Interrupt& interrupt);
absl::Status run_status(const StatusFlags& flags, const Interrupt& interrupt);
absl::Status run_swarm_new(const SwarmNewFlags& flags);

// Reads the key and identity files, and joins.
absl::StatusOr<std::unique_ptr<SwarmConnection>> join_swarm(const SwarmFlags& flags,
                                                            const Interrupt& interrupt);

}  // namespace shoal::client
