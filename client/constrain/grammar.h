// SPDX-License-Identifier: Apache-2.0
// Which texts a constraint allows: an automaton over bytes whose nodes may call rules, as a
// recursive transition network. A text is allowed if it leads from the start to the end of the
// first rule, and every rule that it entered is left at its end. Immutable, may be shared by
// threads; GrammarBuilder makes one, within limits.h.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "client/constrain/code_points.h"

namespace shoal::client::constrain {

using NodeId = std::int32_t;

struct Rule {
  NodeId entry = 0, end = 0;  // nothing leads out of its end
};

class Grammar {
 public:
  struct ByteEdge {
    unsigned char low, high;
    NodeId to;
  };
  struct CallEdge {
    NodeId entry, back;
  };

  NodeId start() const { return start_; }
  std::span<const ByteEdge> bytes(NodeId node) const { return part(bytes_, node, 0); }
  std::span<const NodeId> empties(NodeId node) const { return part(empties_, node, 1); }
  std::span<const CallEdge> calls(NodeId node) const { return part(calls_, node, 2); }
  bool is_end(NodeId node) const { return ends_[static_cast<std::size_t>(node)]; }
  // Frames on top of its own that a text needs at least, to go from here to its rule's end; more
  // than kMaxFrames: no text does.
  int frames_needed(NodeId node) const { return needed_[static_cast<std::size_t>(node)]; }
  std::size_t size() const { return ends_.size(); }

 private:
  friend class GrammarBuilder;
  struct Begin {
    std::uint32_t at[3];
  };
  template <typename T>
  std::span<const T> part(const std::vector<T>& all, NodeId node, int kind) const {
    const auto i = static_cast<std::size_t>(node);
    return std::span(all).subspan(begins_[i].at[kind],
                                  begins_[i + 1].at[kind] - begins_[i].at[kind]);
  }

  NodeId start_ = 0;
  std::vector<Begin> begins_;
  std::vector<ByteEdge> bytes_;
  std::vector<NodeId> empties_;
  std::vector<CallEdge> calls_;
  std::vector<bool> ends_;
  std::vector<int> needed_;
};

// After a failure, the first of which is kept, all that it is told is passed over.
class GrammarBuilder {
 public:
  NodeId node();
  Rule rule();
  void byte(NodeId from, unsigned char low, unsigned char high, NodeId to);
  void empty(NodeId from, NodeId to);
  void call(NodeId from, const Rule& rule, NodeId back);
  NodeId text(NodeId from, std::string_view bytes);
  // One character of the set in UTF-8.
  void character(NodeId from, const CodePoints& set, NodeId to);

  // Counts work that leaves no nodes; false: stop.
  bool spend(std::int64_t steps);
  void fail(absl::Status status);
  const absl::Status& status() const { return status_; }

  // INVALID_ARGUMENT too where no text is allowed.
  absl::StatusOr<Grammar> build(const Rule& start) &&;

 private:
  struct Edges {
    std::vector<Grammar::ByteEdge> bytes;
    std::vector<NodeId> empties;
    std::vector<Grammar::CallEdge> calls;
    bool end = false;
  };
  void utf8(NodeId from, char32_t low, char32_t high, NodeId to,
            std::map<std::tuple<unsigned char, unsigned char, NodeId>, NodeId>& tails);
  void shorten_ways_back();
  std::vector<int> frames_needed() const;

  std::vector<Edges> nodes_{1};  // the first is nobody's
  std::map<std::vector<CodePoints::Range>, Rule> sets_;
  std::int64_t steps_ = 0;
  absl::Status status_;
};

}  // namespace shoal::client::constrain
