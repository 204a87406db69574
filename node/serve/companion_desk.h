// SPDX-License-Identifier: Apache-2.0
// Answers who asks for the small files beside the served model's weights: which there are, and a
// piece of one. They lie in memory; of what is being sent only so much is under way at once.
// Thread-safe. docs/protocol.md, "Companions".
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/companion.h"
#include "proto/types.h"

namespace shoal::wire {
class CompanionPieceReply;
class CompanionPieceRequest;
class CompanionsReply;
class CompanionsRequest;
}  // namespace shoal::wire

namespace shoal::node {

struct CompanionFiles {
  proto::CompanionList list;
  std::vector<std::string> bytes;  // of each
};

class CompanionDesk {
 public:
  CompanionDesk();

  // Once the model is known; until then whoever asks is told to come again. Without files: none are
  // given.
  void offer(const proto::Digest& model, std::shared_ptr<const CompanionFiles> files);
  grpc::ServerUnaryReactor* list(grpc::CallbackServerContext& context,
                                 const wire::CompanionsRequest& request,
                                 wire::CompanionsReply& reply);
  grpc::ServerUnaryReactor* piece(grpc::CallbackServerContext& context,
                                  const wire::CompanionPieceRequest& request,
                                  wire::CompanionPieceReply& reply);

 private:
  struct State;
  class Sending;
  const std::shared_ptr<State> state_;  // shared with the answers under way
};

}  // namespace shoal::node
