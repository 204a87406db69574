// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/state_space.h"

#include <algorithm>

#include "client/constrain/limits.h"

namespace shoal::client::constrain {
namespace {

constexpr StateId kUnknown = -1;

std::uint64_t pair_of(std::int32_t high, std::int32_t low) {
  return std::uint64_t{static_cast<std::uint32_t>(high)} << 32 | static_cast<std::uint32_t>(low);
}

}  // namespace

StateSpace::StateSpace(const Grammar& grammar) : grammar_(grammar) {
  keep();  // kDead
}

StateId StateSpace::start() {
  reach(grammar_.start(), 0);
  return keep();
}

StateSpace::StackId StateSpace::push(NodeId back, StackId below) {
  const auto [found, is_new] =
      stacks_.try_emplace(pair_of(back, below), static_cast<StackId>(frames_.size()));
  if (is_new) {
    frames_.push_back({back, below, frames_[static_cast<std::size_t>(below)].depth + 1});
  }
  return found->second;
}

void StateSpace::reach(NodeId first, StackId first_stack) {
  work_.push_back({first, first_stack});
  while (!work_.empty()) {
    const auto [node, stack] = work_.back();
    work_.pop_back();
    if (!seen_.insert(pair_of(node, stack)).second) continue;
    ++steps_;
    const Frame frame = frames_[static_cast<std::size_t>(stack)];
    if (grammar_.is_end(node)) {
      if (stack == 0) {
        accepts_ = true;
      } else {
        work_.push_back({frame.back, frame.below});
      }
    }
    const auto can_end = [&](NodeId at, int more) {
      return frame.depth + more + grammar_.frames_needed(at) <= kMaxFrames;
    };
    const auto bytes = grammar_.bytes(node);
    if (std::ranges::any_of(bytes, [&](const auto& edge) { return can_end(edge.to, 0); })) {
      places_.push_back({node, stack});
    }
    for (const NodeId to : grammar_.empties(node)) {
      if (can_end(to, 0)) work_.push_back({to, stack});
    }
    for (const auto& edge : grammar_.calls(node)) {
      const bool last = grammar_.is_end(edge.back);  // no frame where nothing comes behind
      if (!can_end(edge.entry, last ? 0 : 1) || !can_end(edge.back, 0)) continue;
      work_.push_back({edge.entry, last ? stack : push(edge.back, stack)});
    }
  }
}

StateId StateSpace::keep() {
  std::ranges::sort(places_);
  std::uint64_t hash = accepts_ ? 1 : 0;
  for (const Place& place : places_) {
    hash = (hash ^ pair_of(place.node, place.stack)) * 0x9E37'79B9'7F4A'7C15u;
    hash ^= hash >> 29;
  }
  StateId found = kUnknown;
  std::vector<StateId>& alike = by_hash_[hash];
  for (const StateId id : alike) {
    const State& state = states_[static_cast<std::size_t>(id)];
    if (state.accepts == accepts_ && state.places == places_) found = id;
  }
  if (found == kUnknown) {
    found = static_cast<StateId>(states_.size());
    alike.push_back(found);
    states_.push_back({places_, accepts_});
    held_places_ += places_.size();
    next_.resize(next_.size() + 256, kUnknown);
  }
  places_.clear();
  seen_.clear();
  accepts_ = false;
  return found;
}

StateId StateSpace::next(StateId state, unsigned char byte) {
  const StateId known = next_[static_cast<std::size_t>(state) * 256 + byte];
  return known == kUnknown ? step(state, byte) : known;
}

StateId StateSpace::step(StateId state, unsigned char byte) {
  if (size() > kMaxStates || steps_ > kMaxMaskSteps) {
    status_ = absl::InvalidArgumentError(
        "the constraint leaves too many ways open at one place: make its alternatives differ "
        "earlier, or its repeats smaller");
    return kDead;
  }
  const auto index = static_cast<std::size_t>(state);
  for (std::size_t i = 0; i < states_[index].places.size(); ++i) {
    const Place place = states_[index].places[i];
    const int depth = frames_[static_cast<std::size_t>(place.stack)].depth;
    for (const auto& edge : grammar_.bytes(place.node)) {
      if (byte < edge.low || byte > edge.high) continue;
      if (depth + grammar_.frames_needed(edge.to) <= kMaxFrames) reach(edge.to, place.stack);
    }
    ++steps_;
  }
  const StateId found = keep();
  next_[index * 256 + byte] = found;
  return found;
}

StateId StateSpace::next(StateId state, std::string_view bytes) {
  for (const char c : bytes) {
    if (state == kDead) break;
    state = next(state, static_cast<unsigned char>(c));
  }
  return state;
}

StateId StateSpace::adopt(const StateSpace& other, StateId state) {
  const State& theirs = other.states_[static_cast<std::size_t>(state)];
  for (const Place& place : theirs.places) {
    std::vector<NodeId> backs;
    for (StackId stack = place.stack; stack != 0;) {
      const Frame& frame = other.frames_[static_cast<std::size_t>(stack)];
      backs.push_back(frame.back);
      stack = frame.below;
    }
    StackId stack = 0;
    for (; !backs.empty(); backs.pop_back()) stack = push(backs.back(), stack);
    places_.push_back({place.node, stack});
  }
  accepts_ = theirs.accepts;
  return keep();
}

absl::Status StateSpace::allowed(const PieceTrie& pieces, StateId state,
                                 std::vector<std::uint64_t>& bits) {
  steps_ = 0;
  status_ = absl::OkStatus();
  bits.assign((pieces.tokens() + 63) / 64, 0);
  const std::span<const PieceTrie::Node> nodes = pieces.nodes();
  std::vector<StateId> path(pieces.depth() + 1, kDead);
  path[0] = state;
  for (std::size_t i = 0; i + 1 < nodes.size();) {  // the last one only ends the lists
    const PieceTrie::Node& node = nodes[i];
    const StateId reached = next(path[node.depth - 1], node.byte);
    if (reached == kDead) {
      i = node.behind;
      continue;
    }
    path[node.depth] = reached;
    for (const std::int32_t id : pieces.tokens_of(i)) {
      bits[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
    }
    ++i;
  }
  return status_;
}

}  // namespace shoal::client::constrain
