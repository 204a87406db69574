// SPDX-License-Identifier: Apache-2.0
// What the DHT's records say about one model: its nodes, and the blocks that nobody serves. Pure
// values and functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "dht/record.h"
#include "proto/address.h"
#include "proto/description.h"
#include "proto/limits.h"

namespace shoal::client {

struct NodeView {
  proto::PeerId peer;
  std::vector<proto::Address> addresses;
  proto::Offer offer;
  proto::Load load;  // as its record says, or as it answered
  std::uint32_t version_minor = proto::kProtocolMinor;
  std::uint64_t announced_us = 0;             // when it signed its record, by its own clock
  std::optional<proto::Occupancy> live = {};  // absent: not asked, or no answer
  std::optional<double> delay_us = {};        // likewise: there and back
  // Why it is of no use although its record says otherwise: "does not answer"; empty when it
  // answered, or was not asked.
  std::string silence = {};
};

// Since when a node's record was not renewed; nothing when its clock or ours cannot be right.
std::optional<std::uint64_t> record_age_s(const NodeView& node, std::uint64_t now_us);

struct SwarmView {
  proto::Digest model_digest;
  std::string model_name;
  std::uint32_t block_count = 0;
  std::vector<NodeView> nodes;  // by span, then peer
  // [blocks]: of their weights as they are stored; empty: it is not known.
  std::vector<std::uint64_t> block_bytes = {};

  // Blocks that no node with state online serves, as maximal spans. Silent nodes serve nothing.
  std::vector<proto::Span> missing() const;
  std::size_t answering() const;  // nodes that are not silent
};

// One view per model. Records of another major version, or that contradict the others about the
// number of blocks, are left out.
std::vector<SwarmView> views_of(const std::vector<dht::Record>& records);
// The view of one model; without nodes when no record names it.
SwarmView view_of(const std::vector<dht::Record>& records, const proto::Digest& model,
                  std::uint32_t block_count);

// "block 5" or "blocks 5..7 and 12"; people count both ends in.
std::string describe_blocks(const std::vector<proto::Span>& spans);

// "node 1a2b3c4d at 127.0.0.1:7000 does not answer; its record is 41 s old"
std::string describe_silence(const NodeView& node, std::uint64_t now_us);

// OK when nodes that answer serve every block of every one of these models; else says which blocks
// are not served, and who of those that should serve them is silent.
absl::Status check_served(const std::vector<SwarmView>& views, std::uint64_t now_us);

// Why nothing in the swarm serves this model: names what it serves instead, with digests.
absl::Status model_not_served(const std::vector<SwarmView>& others, const proto::Digest& model,
                              const std::string& directory);

}  // namespace shoal::client
