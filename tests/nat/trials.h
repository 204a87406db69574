// SPDX-License-Identifier: Apache-2.0
// Trials of nodes at home whose figures stand in docs/trials.md and docs/nat-matrix.md: each builds
// an internet of its own and prints a table. They measure, they assert nothing. Need root. One
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace shoal::tests {

struct Trial {
  std::string name;
  std::string about;
  std::function<void()> run;
};

// online, relay-cost, bulk, lost-relay, moved, late, woken: in this order.
std::vector<Trial> nat_trials();

}  // namespace shoal::tests
