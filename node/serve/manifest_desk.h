// SPDX-License-Identifier: Apache-2.0
// Answers who asks for the served model's manifest, a piece at a time. What is being sent waits in
// memory until it is read, so only so many pieces are under way at once. Thread-safe.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "proto/types.h"

namespace shoal::wire {
class ManifestReply;
class ManifestRequest;
}  // namespace shoal::wire

namespace shoal::node {

class ManifestDesk {
 public:
  ManifestDesk();

  // Once it is known; until then whoever asks is told to come again.
  void offer(const proto::Digest& digest, std::shared_ptr<const std::string> bytes);
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext& context,
                                   const wire::ManifestRequest& request,
                                   wire::ManifestReply& reply);

 private:
  struct State;
  class Sending;
  const std::shared_ptr<State> state_;  // shared with the pieces under way
};

}  // namespace shoal::node
