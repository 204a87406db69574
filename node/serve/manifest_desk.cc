// SPDX-License-Identifier: Apache-2.0
#include "node/serve/manifest_desk.h"

#include <fmt/format.h>

#include <utility>

#include "base/mutex.h"
#include "net/caller.h"
#include "node/serve/call_limit.h"
#include "node/serve/open_request.h"
#include "proto/limits.h"
#include "proto/span_service.pb.h"
#include "proto/version.h"

namespace shoal::node {

struct ManifestDesk::State {
  base::Mutex mutex;
  proto::Digest digest ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const std::string> bytes ABSL_GUARDED_BY(mutex);
  CallLimit calls{proto::kMaxManifestCalls, proto::kMaxManifestCallsPerPeer};
};

// Ends when the piece has left, or its connection is gone.
class ManifestDesk::Sending final : public grpc::ServerUnaryReactor {
 public:
  Sending(std::shared_ptr<State> state, const proto::PeerId& peer)
      : state_(std::move(state)), peer_(peer) {}
  void OnDone() override {
    state_->calls.end(peer_);
    delete this;
  }

 private:
  const std::shared_ptr<State> state_;
  const proto::PeerId peer_;
};

ManifestDesk::ManifestDesk() : state_(std::make_shared<State>()) {}

void ManifestDesk::offer(const proto::Digest& digest, std::shared_ptr<const std::string> bytes) {
  const base::MutexLock lock(state_->mutex);
  state_->digest = digest;
  state_->bytes = std::move(bytes);
}

grpc::ServerUnaryReactor* ManifestDesk::answer(grpc::CallbackServerContext& context,
                                               const wire::ManifestRequest& request,
                                               wire::ManifestReply& reply) {
  const auto refuse = [&](grpc::StatusCode code, const std::string& why) {
    grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
    reactor->Finish({code, why});
    return reactor;
  };
  if (const auto refusal = check_version(request.version())) {
    return refuse(static_cast<grpc::StatusCode>(refusal->code), refusal->reason);
  }
  const auto caller = net::caller_of(context);
  if (!caller.ok()) return refuse(grpc::StatusCode::UNAUTHENTICATED, "who are you?");
  const auto asked = proto::Digest::from_bytes(request.model_digest());
  if (!asked) return refuse(grpc::StatusCode::INVALID_ARGUMENT, "a model digest has 32 bytes");
  std::shared_ptr<const std::string> bytes;
  proto::Digest digest;
  {
    const base::MutexLock lock(state_->mutex);
    bytes = state_->bytes;
    digest = state_->digest;
  }
  if (bytes == nullptr) {
    return refuse(grpc::StatusCode::UNAVAILABLE, "this node is still joining the swarm");
  }
  if (*asked != digest) {
    return refuse(grpc::StatusCode::NOT_FOUND,
                  fmt::format("this node serves model {}, not {}", proto::short_name(digest),
                              proto::short_name(*asked)));
  }
  if (request.offset() >= bytes->size()) {
    return refuse(grpc::StatusCode::OUT_OF_RANGE,
                  fmt::format("the manifest has {} bytes", bytes->size()));
  }
  if (!state_->calls.begin(caller->peer)) {
    return refuse(grpc::StatusCode::RESOURCE_EXHAUSTED,
                  "too many ask for the manifest: ask again in a second");
  }
  *reply.mutable_version() = proto::our_version();
  reply.set_total_bytes(bytes->size());
  reply.set_chunk(bytes->substr(request.offset(), proto::kManifestChunkBytes));
  auto* sending = new Sending(state_, caller->peer);
  sending->Finish(grpc::Status::OK);
  return sending;
}

}  // namespace shoal::node
