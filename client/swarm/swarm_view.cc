// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/swarm_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "client/swarm/node_name.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

NodeView node_of(const dht::Record& record) {
  return {.peer = record.peer_id(),
          .addresses = record.addresses,
          .offer = record.offer,
          .load = record.load,
          .version_minor = record.version_minor,
          .announced_us = record.sequence};
}

bool usable(const dht::Record& record) {
  return record.version_major == proto::kProtocolMajor && record.offer.block_count > 0 &&
         !record.offer.span.empty() && record.offer.span.end <= record.offer.block_count &&
         record.load.state != proto::NodeState::kOffline;
}

}  // namespace

std::vector<proto::Span> SwarmView::missing() const {
  std::vector<bool> served(block_count, false);
  for (const NodeView& node : nodes) {
    if (node.load.state != proto::NodeState::kOnline || !node.silence.empty()) continue;
    for (proto::BlockIndex b = node.offer.span.begin; b < node.offer.span.end; ++b)
      served[b] = true;
  }
  std::vector<proto::Span> spans;
  for (proto::BlockIndex b = 0; b < block_count; ++b) {
    if (served[b]) continue;
    if (!spans.empty() && spans.back().end == b) {
      ++spans.back().end;
    } else {
      spans.push_back({b, b + 1});
    }
  }
  return spans;
}

std::size_t SwarmView::answering() const {
  return static_cast<std::size_t>(std::count_if(
      nodes.begin(), nodes.end(), [](const NodeView& node) { return node.silence.empty(); }));
}

SwarmView view_of(const std::vector<dht::Record>& records, const proto::Digest& model,
                  std::uint32_t block_count) {
  SwarmView view;
  view.model_digest = model;
  view.block_count = block_count;
  for (const dht::Record& record : records) {
    if (!usable(record) || record.offer.model_digest != model ||
        record.offer.block_count != block_count) {
      continue;
    }
    view.nodes.push_back(node_of(record));
    if (view.model_name.empty()) view.model_name = record.offer.model_name;
  }
  std::sort(view.nodes.begin(), view.nodes.end(), [](const NodeView& a, const NodeView& b) {
    return std::tie(a.offer.span, a.peer) < std::tie(b.offer.span, b.peer);
  });
  return view;
}

std::vector<SwarmView> views_of(const std::vector<dht::Record>& records) {
  // The number of blocks is part of what a record claims: the claim of most records of a digest
  // counts.
  std::map<proto::Digest, std::map<std::uint32_t, int>> claims;
  for (const dht::Record& record : records) {
    if (usable(record)) ++claims[record.offer.model_digest][record.offer.block_count];
  }
  std::vector<SwarmView> views;
  for (const auto& [model, counts] : claims) {
    const auto most =
        std::max_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    views.push_back(view_of(records, model, most->first));
  }
  return views;
}

std::string describe_blocks(const std::vector<proto::Span>& spans) {
  std::string text;
  bool many = spans.size() > 1;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) text += i + 1 == spans.size() ? " and " : ", ";
    if (spans[i].size() == 1) {
      text += fmt::format("{}", spans[i].begin);
    } else {
      text += fmt::format("{}..{}", spans[i].begin, spans[i].end - 1);
      many = true;
    }
  }
  return (many ? "blocks " : "block ") + text;
}

std::optional<std::uint64_t> record_age_s(const NodeView& node, std::uint64_t now_us) {
  if (node.announced_us == 0 || node.announced_us > now_us) return std::nullopt;
  const std::uint64_t age_s = (now_us - node.announced_us) / 1'000'000;
  // A record older than its life cannot be here: the clocks differ.
  if (age_s > proto::kMaxRecordTtlMs / 1000) return std::nullopt;
  return age_s;
}

std::string describe_silence(const NodeView& node, std::uint64_t now_us) {
  std::string text = name_of_node(node.peer, node.addresses);
  if (node.addresses.size() > 1) {
    text += fmt::format(" (and {} more {})", node.addresses.size() - 1,
                        node.addresses.size() == 2 ? "address" : "addresses");
  }
  text += " " + node.silence;
  if (const auto age = record_age_s(node, now_us)) {
    text += fmt::format("; its record is {} s old", *age);
  }
  return text;
}

absl::Status check_served(const std::vector<SwarmView>& views, std::uint64_t now_us) {
  if (views.empty()) {
    return absl::UnavailableError(
        "no node of this swarm serves a model: start one with "
        "shoal-node run --model DIR --join HOST:PORT");
  }
  std::string wrong;
  for (const SwarmView& view : views) {
    const auto missing = view.missing();
    if (missing.empty()) continue;
    if (!wrong.empty()) wrong += "; ";
    wrong += fmt::format("nobody {}serves {} of {}",
                         view.answering() < view.nodes.size() ? "who answers " : "",
                         describe_blocks(missing), view.model_name);
    for (const NodeView& node : view.nodes) {
      const bool concerned =
          std::any_of(missing.begin(), missing.end(), [&](const proto::Span& span) {
            return node.offer.span.begin < span.end && span.begin < node.offer.span.end;
          });
      if (!node.silence.empty() && concerned) wrong += ", " + describe_silence(node, now_us);
    }
  }
  return wrong.empty() ? absl::OkStatus() : absl::UnavailableError(wrong);
}

absl::Status model_not_served(const std::vector<SwarmView>& others, const proto::Digest& model,
                              const std::string& directory) {
  if (others.empty()) {
    return absl::UnavailableError(
        "the swarm has no node that serves a model yet; start one with: shoal-node run --model DIR "
        "--join HOST:PORT");
  }
  std::string served;
  for (const SwarmView& view : others) {
    if (!served.empty()) served += "; ";
    served += fmt::format("\"{}\" with digest {} ({} {})", view.model_name,
                          proto::short_name(view.model_digest), view.nodes.size(),
                          view.nodes.size() == 1 ? "node" : "nodes");
  }
  return absl::FailedPreconditionError(fmt::format(
      "the model in {} has digest {}, but the swarm serves {}: give --model the folder of "
      "that model, or --join another swarm",
      directory, proto::short_name(model), served));
}

}  // namespace shoal::client
