// SPDX-License-Identifier: Apache-2.0
// Serves a node's metrics over HTTP to Prometheus. Owns the listening socket and two threads of its
// own, on which the snapshot is taken; it serves until destruction, which waits for a running one
// (and up to two seconds for idle threads: civetweb's habit).
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "node/metrics/node_stats.h"
#include "proto/endpoint.h"

namespace shoal::node {

class MetricsServer {
 public:
  using Take = std::function<std::optional<MetricsSnapshot>()>;  // nullopt: not now

  // Listens; port 0 picks a free one. ALREADY_EXISTS names the address and the way out.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> start(const proto::Endpoint& at);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  const proto::Endpoint& endpoint() const { return endpoint_; }
  void serve(Take take);  // once; before it there are no metrics to read

 private:
  class Impl;
  MetricsServer();
  std::unique_ptr<Impl> impl_;
  proto::Endpoint endpoint_;
};

}  // namespace shoal::node
