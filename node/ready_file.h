// SPDX-License-Identifier: Apache-2.0
// The file by which scripts learn that a node is online, and where: JSON, written whole or not at
// all, removed when the node stops.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "node/node.h"

namespace shoal::node {

// {"address": "HOST:PORT", "peer_id": hex, "blocks": "B:E" or null, "model": name or null,
// "model_digest": hex or null, "metrics": "HOST:PORT" or null, "pid": N}
std::string ready_json(const Node& node);

class ReadyFile {
 public:
  explicit ReadyFile(std::string path) : path_(std::move(path)) {}  // empty: no file
  ~ReadyFile() { remove(); }
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;

  // Can it be written? Removes what an earlier run has left. Before anything else is started.
  absl::Status prepare();
  absl::Status write(const std::string& text);
  void remove();

 private:
  std::string temporary() const;

  const std::string path_;
  bool written_ = false;
};

}  // namespace shoal::node
