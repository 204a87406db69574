// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/live_load.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "client/swarm/describe_all.h"
#include "net/channel_pool.h"

namespace shoal::client {
namespace {

// The first sentence of why a call failed.
std::string reason(const absl::Status& failure) {
  const std::string text(failure.message().data(), failure.message().size());
  return text.substr(0, text.find(". "));
}

void judge(const AskedNode& answer, const SwarmView& view, NodeView& node) {
  const absl::Status outcome =
      answer.outcome.value_or(absl::DeadlineExceededError("it did not answer in time"));
  if (!answer.out_of_reach.empty()) {
    node.silence = answer.out_of_reach;
  } else if (outcome.ok()) {
    const absl::Status why = contradiction(answer, view.model_digest, view.block_count);
    node.silence = std::string(why.message());
    if (!why.ok()) return;
    node.offer = answer.said->serving->offer;
    node.load = answer.said->load;
    node.live = answer.said->serving->occupancy;
    node.delay_us = answer.rtt_us;
  } else if (absl::IsDeadlineExceeded(outcome) || absl::IsCancelled(outcome)) {
    node.silence = "does not answer";
  } else {
    node.silence = fmt::format("does not answer ({})", reason(outcome));
  }
}

}  // namespace

void ask_for_load(std::vector<SwarmView>& views, net::ChannelPool& channels,
                  const base::StopToken& interrupt, int rounds) {
  std::vector<AskedNode> nodes;
  std::vector<std::pair<SwarmView*, NodeView*>> of;  // [nodes]
  for (SwarmView& view : views) {
    for (NodeView& node : view.nodes) {
      if (node.addresses.empty()) {
        node.silence = "has no address";
        continue;
      }
      nodes.push_back({node.peer, node.addresses});
      of.emplace_back(&view, &node);
    }
  }
  DescribeOptions options;
  options.timeout = kLiveLoadTimeout;
  options.rounds = rounds;
  const auto answers = describe_all(std::move(nodes), options, channels, interrupt);
  for (std::size_t i = 0; i < answers.size(); ++i) judge(answers[i], *of[i].first, *of[i].second);
}

}  // namespace shoal::client
