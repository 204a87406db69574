// SPDX-License-Identifier: Apache-2.0
// Answers this machine's owner over a local socket: a line in, a line of JSON out. Only this user
// and root are heard, one after the other, two seconds each at most for question and answer. Owns
// the socket, its file and a thread, on which the answer is made.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "node/control/control_request.h"

namespace shoal::node {

class ControlServer {
 public:
  // One line of JSON without its newline.
  using Answer = std::function<std::string(const ControlRequest&)>;

  // On the first of `paths` (socket_paths) that can be had. Whoever calls holds the identity.
  static absl::StatusOr<std::unique_ptr<ControlServer>> start(const std::vector<std::string>& paths,
                                                              Answer answer);
  ~ControlServer();  // within four seconds, once no answer is waited for; removes the file
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::string& path() const;

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// {"ok": false, "error": TEXT}
std::string error_json(const std::string& text);

// Asks the node behind this socket; its line, which says that it is OK. NOT_FOUND: nobody listens.
absl::StatusOr<std::string> ask_node(const std::string& path, const ControlRequest& request);

}  // namespace shoal::node
