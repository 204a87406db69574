// SPDX-License-Identifier: Apache-2.0
// A swarm of real nodes in this process, on loopback, with the demo model. Owns the nodes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/swarm_key.h"
#include "model/weight_choice.h"
#include "node/node.h"
#include "proto/types.h"

namespace shoal::tests {

struct InProcessSwarmOptions {
  std::optional<identity::SwarmKey> swarm_key;
  std::optional<std::int64_t> kv_positions;
  std::string model_directory;  // empty: the demo model
};

class InProcessSwarm {
 public:
  explicit InProcessSwarm(const std::vector<proto::Span>& spans,
                          InProcessSwarmOptions options = {});
  ~InProcessSwarm();  // all nodes at the same time

  // One more node; returns its index.
  std::size_t add(proto::Span span, model::WeightChoice weights = model::WeightChoice::kStored,
                  node::OpenDevices open_devices = {}, node::EndsMode ends = node::EndsMode::kAuto);
  node::Node& node(std::size_t index) { return *nodes_[index]; }
  std::size_t index_of(const proto::PeerId& peer) const;  // CHECKs that it is there
  void stop(std::size_t index);                           // at once, without a goodbye
  std::string address() const;                            // of the first node, HOST:PORT

  // Every node is without sessions, streams and used KV pages; waits for it up to timeout_ms.
  bool idle_within(int timeout_ms) const;
  std::string describe() const;  // what is still there

 private:
  InProcessSwarmOptions options_;
  std::vector<std::unique_ptr<node::Node>> nodes_;
};

// [0, blocks) in n spans of nearly equal size.
std::vector<proto::Span> even_spans(std::uint32_t blocks, std::uint32_t n);

}  // namespace shoal::tests
