// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/piece_trie.h"

#include <algorithm>
#include <utility>

#include "client/constrain/limits.h"

namespace shoal::client::constrain {
namespace {

std::vector<std::optional<std::string>> pieces_of(const model::Tokenizer& tokenizer) {
  std::vector<std::optional<std::string>> pieces;
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    auto text = tokenizer.special_text(id);
    pieces.push_back(text ? control_mark(*text) : tokenizer.piece(id));
  }
  return pieces;
}

}  // namespace

std::string control_mark(std::string_view token) {
  std::string mark = "\xFF";
  mark += token;
  return mark + "\xFE";
}

PieceTrie::PieceTrie(const model::Tokenizer& tokenizer) : PieceTrie(pieces_of(tokenizer)) {}

PieceTrie::PieceTrie(std::vector<std::optional<std::string>> pieces) : pieces_(std::move(pieces)) {
  std::vector<std::pair<std::string_view, std::int32_t>> sorted;
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    const auto& piece = pieces_[id];
    if (piece && !piece->empty() && piece->size() <= kMaxPieceBytes) {
      sorted.emplace_back(*piece, static_cast<std::int32_t>(id));
    }
  }
  std::ranges::sort(sorted);
  std::vector<std::uint32_t> path;  // the open nodes, from the root's child down
  const auto close = [&](std::size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].behind = static_cast<std::uint32_t>(nodes_.size());
    }
  };
  std::string_view before;
  for (const auto& [piece, id] : sorted) {
    const auto differs = std::ranges::mismatch(before, piece);
    close(static_cast<std::size_t>(differs.in1 - before.begin()));
    while (path.size() < piece.size()) {
      const auto byte = static_cast<unsigned char>(piece[path.size()]);
      const auto at = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({byte, static_cast<std::uint16_t>(path.size() + 1), 0,
                        static_cast<std::uint32_t>(tokens_.size())});
      path.push_back(at);
    }
    depth_ = std::max(depth_, piece.size());
    tokens_.push_back(id);
    before = piece;
  }
  close(0);
  nodes_.push_back({0, 0, 0, static_cast<std::uint32_t>(tokens_.size())});
}

}  // namespace shoal::client::constrain
