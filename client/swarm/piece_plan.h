// SPDX-License-Identifier: Apache-2.0
// Which piece of which file is asked of which node next, so that files come from several nodes at
// once, a slow node holds nothing up, and a file that is not what it should be is traced to whoever
// sent it. A value without I/O; time comes in by argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace shoal::client {

class PiecePlan {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The files' sizes; nodes by their numbers, the best first.
  PiecePlan(const std::vector<std::uint64_t>& files, std::size_t nodes);

  struct Order {
    std::size_t node = 0, file = 0, piece = 0;
    std::uint64_t offset = 0;
    std::size_t bytes = 0;    // that the piece has
    unsigned generation = 0;  // of the file: from its beginning after it was wrong
  };
  // nullopt: nothing to do but wait for what is under way, or for a moment.
  std::optional<Order> next(Time now);
  // Each order ends in one of these. True: these bytes are wanted (not when another node was
  // faster).
  [[nodiscard]] bool came(const Order& order);
  void busy(const Order& order, Time now);  // the node may be asked again in a second
  void lost(const Order& order);            // it is not asked any more

  bool is_whole(std::size_t file) const;
  // A whole file that is not what it should be is fetched again, from one node alone. The node
  // whose fault it was, which is not asked any more; nullopt: several had a part in it.
  std::optional<std::size_t> wrong(std::size_t file);

  std::uint64_t done_bytes() const;
  bool is_done() const;
  bool is_hopeless() const;  // something is missing, and nobody is left to ask

 private:
  struct Piece {
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    std::optional<std::size_t> from{};  // it has come
    std::vector<std::size_t> asked{};   // nodes, under way
    Time since{};                       // of the last of them
  };
  struct File {
    std::vector<Piece> pieces;
    unsigned generation = 0;
    bool alone = false;  // all of it from one node
  };
  struct Node {
    bool is_lost = false;
    int under_way = 0;
    Time not_before{};
  };
  void end(const Order& order);
  Piece* piece_of(const Order& order);  // null: of an older generation
  std::optional<std::size_t> node_for(const File& file, const Piece& piece, Time now) const;
  std::optional<std::size_t> first_left() const;

  std::vector<File> files_;
  std::vector<Node> nodes_;
};

}  // namespace shoal::client
