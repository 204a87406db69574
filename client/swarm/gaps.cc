// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/gaps.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/memory_size.h"

namespace shoal::client {
namespace {

constexpr std::size_t kMostGaps = 8;  // told one by one

}  // namespace

std::optional<std::uint64_t> weight_bytes(const SwarmView& view, proto::Span span) {
  if (view.block_bytes.size() != view.block_count) return std::nullopt;
  const auto begin = view.block_bytes.begin() + span.begin;
  return std::accumulate(begin, view.block_bytes.begin() + span.end, std::uint64_t{0});
}

std::string describe_gaps(const SwarmView& view) {
  const std::vector<proto::Span> gaps = view.missing();
  if (gaps.empty()) return "";
  const bool one_block = gaps.size() == 1 && gaps.front().size() == 1;
  std::string text = fmt::format("{} of {} {} served by nobody: ", describe_blocks(gaps),
                                 view.block_count, one_block ? "is" : "are");
  if (gaps.size() == 1) {
    const auto bytes = weight_bytes(view, gaps.front());
    text += "one more node ";
    text += bytes ? fmt::format("with {} of memory for {} weights would close the gap",
                                base::memory_text(*bytes), one_block ? "its" : "their")
                  : fmt::format("that serves {} would close the gap", one_block ? "it" : "them");
    return text;
  }
  text += fmt::format("{} more nodes would close the gaps", gaps.size());
  for (std::size_t i = 0; i < std::min(gaps.size(), kMostGaps); ++i) {
    const auto bytes = weight_bytes(view, gaps[i]);
    if (!bytes) break;
    text += fmt::format("{} {} for the weights of {}", i == 0 ? ", with" : " and",
                        base::memory_text(*bytes), describe_blocks({gaps[i]}));
  }
  if (gaps.size() > kMostGaps && weight_bytes(view, gaps.front())) text += " and so on";
  return text;
}

}  // namespace shoal::client
