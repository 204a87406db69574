// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/regex_length.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace shoal::client::constrain {
namespace {

// The expression over characters: like a grammar, before they are written as bytes.
class Places {
 public:
  struct Place {
    std::vector<std::pair<CodePoints, std::size_t>> characters;
    std::vector<std::size_t> empties;
  };
  explicit Places(GrammarBuilder& builder) : builder_(builder) {}

  std::size_t add(std::size_t from, const Regex& regex) {
    if (!builder_.spend(1)) return from;
    switch (regex.kind) {
      case Regex::Kind::kSet: {
        const std::size_t to = place();
        all_[from].characters.emplace_back(regex.set, to);
        return to;
      }
      case Regex::Kind::kSequence:
        for (const Regex& part : regex.parts) from = add(from, part);
        return from;
      case Regex::Kind::kEither: {
        const std::size_t to = place();
        for (const Regex& part : regex.parts) lead(add(from, part), to);
        return to;
      }
      case Regex::Kind::kRepeat:
        break;
    }
    const Regex& part = regex.parts.front();
    const auto good = [&] { return builder_.status().ok(); };
    for (std::int64_t i = 0; i < regex.least && good(); ++i) from = add(from, part);
    const std::size_t to = place();
    if (regex.most < 0) {
      lead(from, to);
      lead(add(to, part), to);
      const std::size_t behind = place();
      lead(to, behind);
      return behind;
    }
    for (std::int64_t i = regex.least; i < regex.most && good(); ++i) {
      lead(from, to);
      from = add(from, part);
    }
    lead(from, to);
    return to;
  }
  std::size_t place() {
    // Counted as nodes are: a repeat of a repeat must end here too.
    constexpr std::int64_t kStepsPerPlace = 4;
    if (!builder_.spend(kStepsPerPlace)) return 0;
    all_.emplace_back();
    return all_.size() - 1;
  }
  const Place& at(std::size_t place) const { return all_[place]; }

 private:
  void lead(std::size_t from, std::size_t to) { all_[from].empties.push_back(to); }

  GrammarBuilder& builder_;
  std::vector<Place> all_{1};
};

}  // namespace

NodeId add_regex_of_length(GrammarBuilder& builder, NodeId from, const Regex& regex,
                           WriteCharacter write, std::int64_t least, std::int64_t most) {
  Places places(builder);
  const std::size_t begin = places.place();
  const std::size_t end = places.add(begin, regex);
  const NodeId to = builder.node();
  // Without a limit, counts from `least` on are all the same.
  std::map<std::pair<std::size_t, std::int64_t>, NodeId> nodes;
  std::vector<std::pair<std::size_t, std::int64_t>> work;
  const auto node_of = [&](std::size_t place, std::int64_t count) {
    if (most < 0) count = std::min(count, least);
    const auto [found, is_new] = nodes.try_emplace({place, count}, 0);
    if (is_new) {
      found->second = builder.node();
      work.emplace_back(place, count);
    }
    return found->second;
  };
  builder.empty(from, node_of(begin, 0));
  while (!work.empty() && builder.status().ok()) {
    const auto [place, count] = work.back();
    work.pop_back();
    const NodeId node = nodes.at({place, count});
    if (place == end && count >= least) builder.empty(node, to);
    for (const std::size_t next : places.at(place).empties) {
      builder.empty(node, node_of(next, count));
    }
    if (count == most) continue;
    for (const auto& [set, next] : places.at(place).characters) {
      write(builder, node, set, node_of(next, count + 1));
    }
  }
  return to;
}

}  // namespace shoal::client::constrain
