// SPDX-License-Identifier: Apache-2.0
// How a command finds out which model a folder holds, and what people see meanwhile: large files
// are read through, or the swarm is asked. One thread; the caller waits.
#pragma once

#include "absl/status/status.h"
#include "base/stop_token.h"
#include "cli/progress_line.h"
#include "client/swarm/swarm_connection.h"
#include "client/text/named_model.h"

namespace shoal::client {

// Draws on the line, or says in lines how far it is. Both must outlive what is returned.
model::FileWork told_on(cli::ProgressLine& line, const base::StopToken& interrupt);
// Of other work than reading the files.
model::FileWork told_on(cli::ProgressLine& line, const base::StopToken& interrupt,
                        const std::string& what);

// For parts of a model that have no name yet: asks those who serve a model of as many blocks.
// FAILED_PRECONDITION when none of these is the one whose parts are here.
absl::Status find_manifest(NamedModel& model, SwarmConnection& swarm,
                           const base::StopToken& interrupt, cli::ProgressLine& line);

}  // namespace shoal::client
