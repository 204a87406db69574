// SPDX-License-Identifier: Apache-2.0
// A session over a node that is reached through relays only, whose relay's process is killed in the
// middle of it. One thread.
#pragma once

#include "tests/nat/nat_swarm.h"

namespace shoal::tests {

struct LostRelay {
  NatAnswer answer;  // wrong also where no relay was killed in time
  // Of the steps, as the user waited for them.
  double median_ms = 0, longest_ms = 0;
  int reroutes = 0;
};

// `tokens` of the first prompt, asked on `user`; `node` is where its blocks are. The relay is
// killed once a fifth of the session's bytes has gone over it.
LostRelay lose_relay(NatSwarm& swarm, const Host& user, const Host& node, int tokens);

}  // namespace shoal::tests
