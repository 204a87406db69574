// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/block_kinds.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "client/swarm/swarm_view.h"

namespace shoal::client {

BlockKinds kinds_of(const Route& route) {
  BlockKinds kinds;
  for (const Hop& hop : route) kinds.insert(kinds.end(), hop.span.size(), hop.numerics);
  return kinds;
}

bool is_mixed(const BlockKinds& kinds) {
  return std::any_of(kinds.begin(), kinds.end(),
                     [&](const proto::Numerics& each) { return each != kinds.front(); });
}

bool is_quantized(const BlockKinds& kinds) {
  return !kinds.empty() && std::all_of(kinds.begin(), kinds.end(), [](const proto::Numerics& each) {
    return each.compute == proto::Compute::kI8;
  });
}

std::vector<KindChange> kind_changes(const BlockKinds& before, const BlockKinds& now) {
  if (before.empty()) return {};
  CHECK(before.size() == now.size()) << before.size() << " blocks, then " << now.size();
  std::vector<KindChange> changes;
  for (proto::BlockIndex b = 0; b < now.size(); ++b) {
    if (before[b] == now[b]) continue;
    if (!changes.empty() && changes.back().span.end == b && changes.back().from == before[b] &&
        changes.back().to == now[b]) {
      ++changes.back().span.end;
    } else {
      changes.push_back({{b, b + 1}, before[b], now[b]});
    }
  }
  return changes;
}

std::string describe_kinds(const BlockKinds& kinds) {
  if (kinds.empty()) return "";
  if (!is_mixed(kinds)) return proto::to_string(kinds.front());
  std::string text;
  for (proto::BlockIndex begin = 0, end = 0; begin < kinds.size(); begin = end) {
    while (end < kinds.size() && kinds[end] == kinds[begin]) ++end;
    text += fmt::format("{}{} ({})", begin == 0 ? "" : ", ", proto::to_string(kinds[begin]),
                        describe_blocks({{begin, end}}));
  }
  return text;
}

std::string describe_changes(const std::vector<KindChange>& changes) {
  std::string text;
  for (const KindChange& change : changes) {
    text += fmt::format("{}{} changed from {} to {}", text.empty() ? "" : ", ",
                        describe_blocks({change.span}), proto::to_string(change.from),
                        proto::to_string(change.to));
  }
  return text;
}

}  // namespace shoal::client
