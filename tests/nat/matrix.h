// SPDX-License-Identifier: Apache-2.0
// A row of the matrix of routers: a swarm with a node behind one kind, held against others behind
// every kind, one after another: users who ask it, or next hops that it pushes to. Cells in which
// nobody speaks over a relay, over one, or not at all. One thread.
#pragma once

#include <optional>
#include <string>

#include "tests/nat/nat_swarm.h"

namespace shoal::tests {

// Who the other one is: a user, with the second half of the model in the open, or the next hop,
// with the user in the open.
enum class NatRole { kUser, kNextHop };

struct NatCell {
  std::string wrong;        // "" when the ids were right
  double direct_share = 0;  // of the payload between the two that went without a relay, at most 1
  double seconds = 0;       // of the command
  std::optional<double> other_online;  // seconds until the next hop was online
};

// What a cell's name in the table is: D direct, u moved to a direct connection on the way, r over a
// relay, F failed.
char letter(const NatCell& cell);

class MatrixRow {
 public:
  MatrixRow(NatRole role, NatKind kind, const LinkOptions& access);
  ~MatrixRow();

  // Seconds until the node was online; absent when it did not come: then cells fail.
  std::optional<double> online() const { return online_; }
  // The other one behind a router of its own, or behind the node's (isolated there when the router
  // can turn packets around, so that it has to).
  NatCell run(NatKind other, int tokens);
  NatCell run_neighbour(int tokens);
  // What the programs of the row said, under their names.
  std::string logs();

 private:
  NatCell run_on(const Host& other, int tokens);

  const NatRole role_;
  const NatKind kind_;
  NatSwarm swarm_;
  const Host* host_ = nullptr;
  NatNode* node_ = nullptr;
  std::optional<double> online_;
  std::string other_logs_;
};

}  // namespace shoal::tests
