// SPDX-License-Identifier: Apache-2.0
// Looks after a node on its owner's behalf: keeps the account, answers at the local socket, and
// pauses and resumes the node as the owner and the hours say. Lives as long as the identity is
// held, and so longer than a node, which may go and come back. Thread rule: main only. Owns the
// account, the desk and the socket's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/account/account.h"
#include "node/control/control_server.h"
#include "node/control/owner_desk.h"
#include "node/control/pausing.h"
#include "node/identity_file.h"

namespace shoal::node {

class Node;

struct CaretakerOptions {
  Hours hours;
  bool free_by_hours = false;             // outside of them the node goes, and its memory with it
  std::chrono::milliseconds patience{0};  // that sessions get when the node is paused
  bool bootstrap = false;
  std::uint16_t port = 0;  // as asked for; 0: any
};

class Caretaker {
 public:
  Caretaker(const IdentityFile& identity, CaretakerOptions options);
  ~Caretaker();
  Caretaker(const Caretaker&) = delete;
  Caretaker& operator=(const Caretaker&) = delete;

  Account& account() { return *account_; }

  // Several times a second while there is none: whether one is to be started.
  enum class Start { kNow, kLater, kNever };
  Start look_without_node();
  // Whether one that is being started is wanted still. Any thread.
  bool wants_node() const { return bootstrap_ || desk_->wish().serve; }
  // One that is being started finds nobody of its swarm at these addresses; "": it does.
  void waits_for(const std::string& addresses);
  void began(const Node& node);
  enum class Next {
    kGoOn,
    kLeave,  // the node is paused and gives its memory back: look_without_node(), and another
    kStop,   // as if a signal had asked
  };
  // Several times a second while a node is there; does what the owner wants with it.
  Next look(Node& node);
  // It is taken down now.
  void leaving(const Node& node);
  // Before the identity is given to a successor: it finds the account, and answers the owner.
  void hand_over();
  // From now on; whether it is a bootstrap node stays.
  void set_options(const CaretakerOptions& options);

 private:
  NodeStatus status_without_node(const char* state) const;
  NodeStatus status_of(const Node& node) const;
  std::chrono::milliseconds patience_of(const Wish& wish) const;
  void tend_account(const std::optional<NodeMoment>& moment);  // about once a second

  CaretakerOptions options_;
  const bool bootstrap_;
  const std::string identity_;
  std::unique_ptr<Account> account_;
  std::unique_ptr<OwnerDesk> desk_;
  std::unique_ptr<ControlServer> control_;  // may be null: it could not be had
  Pausing pausing_;
  bool waits_ = false;               // and has said so
  std::int64_t silence_unix_s_ = 0;  // since when nobody of the swarm answers; 0: somebody does
  const std::string peer_id_;
  std::optional<std::chrono::steady_clock::time_point> tended_;
};

}  // namespace shoal::node
