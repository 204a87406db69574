// SPDX-License-Identifier: Apache-2.0
// Signals by which a user ends the program, as a token that every wait looks at.
#pragma once

#include "base/stop_token.h"

namespace shoal::client {

// SIGINT, SIGTERM and SIGHUP stop the returned token; a second one ends the process at once with
// 128 + signal.
base::StopToken& interrupt_by_signals();

}  // namespace shoal::client
