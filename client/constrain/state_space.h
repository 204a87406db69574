// SPDX-License-Identifier: Apache-2.0
// A grammar made deterministic as far as it is walked: a state is the set of all places where the
// bytes so far may have led, each a node and the calls that are open there. States, stacks and
// steps from state to state are kept; what has grown too large is left, and the next one goes on
// from one of its states. One caller at a time; the grammar must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "client/constrain/grammar.h"
#include "client/constrain/piece_trie.h"

namespace shoal::client::constrain {

using StateId = std::int32_t;
inline constexpr StateId kDead = 0;  // no allowed text begins so

class StateSpace {
 public:
  explicit StateSpace(const Grammar& grammar);

  StateId start();
  // kDead too when the limits are reached: then status() says so.
  StateId next(StateId state, unsigned char byte);
  StateId next(StateId state, std::string_view bytes);
  // The text so far is allowed as it is.
  bool accepts(StateId state) const { return states_[static_cast<std::size_t>(state)].accepts; }
  // And nothing may follow.
  bool is_last(StateId state) const {
    return accepts(state) && states_[static_cast<std::size_t>(state)].places.empty();
  }
  // A state of another space of the same grammar, in this one.
  StateId adopt(const StateSpace& other, StateId state);

  // A bit for each token whose bytes may follow.
  absl::Status allowed(const PieceTrie& pieces, StateId state, std::vector<std::uint64_t>& bits);

  // In states of usual size, 1 KiB each.
  std::size_t size() const { return states_.size() + held_places_ / 128; }
  const absl::Status& status() const { return status_; }

 private:
  using StackId = std::int32_t;  // 0: empty
  struct Frame {
    NodeId back;
    StackId below;
    int depth;
  };
  struct Place {
    NodeId node;
    StackId stack;
    bool operator==(const Place&) const = default;
    auto operator<=>(const Place&) const = default;
  };
  struct State {
    std::vector<Place> places;  // those that bytes lead out of; sorted
    bool accepts = false;
  };
  StackId push(NodeId back, StackId below);
  void reach(NodeId node, StackId stack);  // adds it, and what it leads to without a byte
  StateId keep();                          // what was reached, as a state
  StateId step(StateId state, unsigned char byte);

  const Grammar& grammar_;
  std::vector<Frame> frames_{{0, 0, 0}};
  absl::flat_hash_map<std::uint64_t, StackId> stacks_;  // back << 32 | below
  std::vector<State> states_;
  std::size_t held_places_ = 0;  // of all states
  std::vector<StateId> next_;    // [states, 256]; kUnknown
  absl::flat_hash_map<std::uint64_t, std::vector<StateId>> by_hash_;
  absl::Status status_;
  std::int64_t steps_ = 0;  // since the last allowed()
  // What keep() makes a state of.
  std::vector<Place> places_;
  bool accepts_ = false;
  absl::flat_hash_set<std::uint64_t> seen_;
  std::vector<Place> work_;
};

}  // namespace shoal::client::constrain
