// SPDX-License-Identifier: Apache-2.0
// The tokens of a vocabulary by their bytes, as a tree laid out so that a walk through all of it
// reads memory in one direction. Immutable, may be shared by threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"

namespace shoal::client::constrain {

// What a control token counts as: its text between two bytes that no UTF-8 has. So a constraint
// allows one only where it names it.
std::string control_mark(std::string_view token);

class PieceTrie {
 public:
  // By token id; nothing, or nothing but bytes: never allowed.
  explicit PieceTrie(std::vector<std::optional<std::string>> pieces);
  explicit PieceTrie(const model::Tokenizer& tokenizer);

  struct Node {
    unsigned char byte;
    std::uint16_t depth;       // 1 below the root
    std::uint32_t behind;      // the node that follows its subtree
    std::uint32_t tokens = 0;  // where its own begin
  };
  // In the order of their bytes, the root left out, and one more at the end.
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const std::int32_t> tokens_of(std::size_t node) const {
    return std::span(tokens_).subspan(nodes_[node].tokens,
                                      nodes_[node + 1].tokens - nodes_[node].tokens);
  }
  std::size_t depth() const { return depth_; }
  std::size_t tokens() const { return pieces_.size(); }  // ids below it
  const std::optional<std::string>& piece(std::int32_t id) const {
    return pieces_[static_cast<std::size_t>(id)];
  }

 private:
  std::vector<std::optional<std::string>> pieces_;
  std::vector<Node> nodes_;
  std::vector<std::int32_t> tokens_;
  std::size_t depth_ = 0;
};

}  // namespace shoal::client::constrain
