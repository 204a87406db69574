// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/in_process_swarm.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "base/check.h"

namespace shoal::tests {

InProcessSwarm::InProcessSwarm(const std::vector<proto::Span>& spans, InProcessSwarmOptions options)
    : options_(std::move(options)) {
  if (options_.model_directory.empty()) {
    options_.model_directory = std::string(SHOAL_SOURCE_DIR) + "/models/demo";
  }
  for (const proto::Span& span : spans) add(span);
}

InProcessSwarm::~InProcessSwarm() {
  std::vector<std::thread> stopping;
  for (auto& node : nodes_) stopping.emplace_back([&node] { node.reset(); });
  for (std::thread& thread : stopping) thread.join();
}

std::size_t InProcessSwarm::add(proto::Span span, model::WeightChoice weights,
                                node::OpenDevices open_devices, node::EndsMode ends) {
  node::NodeOptions options;
  options.model_directory = options_.model_directory;
  options.blocks = span;
  options.weights = weights;
  options.ends = ends;
  options.listen = proto::Endpoint::v4({127, 0, 0, 1}, 0);
  options.swarm_key = options_.swarm_key;
  options.kv_positions = options_.kv_positions.value_or(16'384);
  options.threads = 1;
  options.open_devices = std::move(open_devices);
  for (const auto& node : nodes_) {
    if (node != nullptr) options.join.push_back(node->endpoint());
  }
  auto started = node::Node::start(std::move(options));
  CHECK(started.ok()) << started.status();
  nodes_.push_back(*std::move(started));
  return nodes_.size() - 1;
}

std::size_t InProcessSwarm::index_of(const proto::PeerId& peer) const {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i] != nullptr && nodes_[i]->peer_id() == peer) return i;
  }
  CHECK(false) << "no such node";
  return 0;
}

void InProcessSwarm::stop(std::size_t index) { nodes_[index].reset(); }

std::string InProcessSwarm::address() const {
  for (const auto& node : nodes_) {
    if (node != nullptr) return proto::to_string(node->endpoint());
  }
  return "";
}

bool InProcessSwarm::idle_within(int timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!describe().empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::string InProcessSwarm::describe() const {
  std::string text;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i] == nullptr) continue;
    const node::NodeStats stats = nodes_[i]->stats();
    if (stats.sessions == 0 && stats.pages_in_use == 0 && stats.streams == 0 &&
        stats.free_kv_positions == stats.total_kv_positions) {
      continue;
    }
    text +=
        fmt::format("node {}: {} sessions, {} streams, {} pages in use, {} of {} positions free\n",
                    i, stats.sessions, stats.streams, stats.pages_in_use, stats.free_kv_positions,
                    stats.total_kv_positions);
  }
  return text;
}

std::vector<proto::Span> even_spans(std::uint32_t blocks, std::uint32_t n) {
  std::vector<proto::Span> spans;
  for (std::uint32_t i = 0; i < n; ++i) spans.push_back({blocks * i / n, blocks * (i + 1) / n});
  return spans;
}

}  // namespace shoal::tests
