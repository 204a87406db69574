// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/piece_plan.h"

#include <algorithm>

#include "proto/limits.h"

namespace shoal::client {
namespace {

// What has not come for so long is asked of another node too, which has nothing else to do.
constexpr std::chrono::milliseconds kSlow{500};
constexpr std::chrono::milliseconds kBusyPause{1'000};
constexpr std::size_t kMostAsked = 2;  // for one piece

}  // namespace

PiecePlan::PiecePlan(const std::vector<std::uint64_t>& files, std::size_t nodes) : nodes_(nodes) {
  for (const std::uint64_t size : files) {
    File file;
    for (std::uint64_t at = 0; at < size; at += proto::kCompanionPieceBytes) {
      file.pieces.push_back({.offset = at,
                             .bytes = static_cast<std::size_t>(
                                 std::min<std::uint64_t>(size - at, proto::kCompanionPieceBytes))});
    }
    files_.push_back(std::move(file));
  }
}

std::optional<std::size_t> PiecePlan::first_left() const {
  const auto left = std::ranges::find_if(nodes_, [](const Node& node) { return !node.is_lost; });
  if (left == nodes_.end()) return std::nullopt;
  return static_cast<std::size_t>(left - nodes_.begin());
}

// The one with least to do; of equals the best.
std::optional<std::size_t> PiecePlan::node_for(const File& file, const Piece& piece,
                                               Time now) const {
  std::optional<std::size_t> found;
  const std::optional<std::size_t> only = file.alone ? first_left() : std::nullopt;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    if (node.is_lost || now < node.not_before || (only && i != *only) ||
        node.under_way >= static_cast<int>(proto::kMaxCompanionCallsPerPeer) ||
        std::ranges::count(piece.asked, i) > 0) {
      continue;
    }
    if (!found || node.under_way < nodes_[*found].under_way) found = i;
  }
  return found;
}

std::optional<PiecePlan::Order> PiecePlan::next(Time now) {
  for (const bool again : {false, true}) {
    for (std::size_t f = 0; f < files_.size(); ++f) {
      File& file = files_[f];
      for (std::size_t p = 0; p < file.pieces.size(); ++p) {
        Piece& piece = file.pieces[p];
        if (piece.from || piece.asked.empty() == again) continue;
        if (again && (piece.asked.size() >= kMostAsked || now < piece.since + kSlow)) continue;
        const auto node = node_for(file, piece, now);
        if (!node || (again && nodes_[*node].under_way > 0)) continue;
        piece.asked.push_back(*node);
        piece.since = now;
        ++nodes_[*node].under_way;
        return Order{*node, f, p, piece.offset, piece.bytes, file.generation};
      }
    }
  }
  return std::nullopt;
}

PiecePlan::Piece* PiecePlan::piece_of(const Order& order) {
  File& file = files_[order.file];
  return order.generation == file.generation ? &file.pieces[order.piece] : nullptr;
}

void PiecePlan::end(const Order& order) {
  --nodes_[order.node].under_way;
  if (Piece* const piece = piece_of(order)) std::erase(piece->asked, order.node);
}

bool PiecePlan::came(const Order& order) {
  end(order);
  Piece* const piece = piece_of(order);
  if (piece == nullptr || piece->from) return false;
  piece->from = order.node;
  return true;
}

void PiecePlan::busy(const Order& order, Time now) {
  end(order);
  nodes_[order.node].not_before = now + kBusyPause;
}

void PiecePlan::lost(const Order& order) {
  end(order);
  nodes_[order.node].is_lost = true;
  // What is to come from one node alone begins anew with the next.
  for (File& file : files_) {
    const bool begun = std::ranges::any_of(
        file.pieces, [&](const Piece& piece) { return piece.from == order.node; });
    if (!file.alone || !begun || std::ranges::all_of(file.pieces, [](const Piece& piece) {
          return piece.from.has_value();
        })) {
      continue;
    }
    ++file.generation;
    for (Piece& piece : file.pieces) piece = {.offset = piece.offset, .bytes = piece.bytes};
  }
}

bool PiecePlan::is_whole(std::size_t file) const {
  return std::ranges::all_of(files_[file].pieces,
                             [](const Piece& piece) { return piece.from.has_value(); });
}

std::optional<std::size_t> PiecePlan::wrong(std::size_t number) {
  File& file = files_[number];
  std::optional<std::size_t> whose;
  bool several = false;
  for (Piece& piece : file.pieces) {
    several = several || (whose && piece.from != whose);
    whose = piece.from;
    piece = {.offset = piece.offset, .bytes = piece.bytes};
  }
  ++file.generation;
  file.alone = true;
  if (several || !whose) return std::nullopt;
  nodes_[*whose].is_lost = true;
  return whose;
}

std::uint64_t PiecePlan::done_bytes() const {
  std::uint64_t done = 0;
  for (const File& file : files_) {
    for (const Piece& piece : file.pieces) done += piece.from ? piece.bytes : 0;
  }
  return done;
}

bool PiecePlan::is_done() const {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (!is_whole(i)) return false;
  }
  return true;
}

bool PiecePlan::is_hopeless() const { return !is_done() && !first_left(); }

}  // namespace shoal::client
