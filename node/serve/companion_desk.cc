// SPDX-License-Identifier: Apache-2.0
#include "node/serve/companion_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/mutex.h"
#include "net/caller.h"
#include "node/serve/call_limit.h"
#include "node/serve/open_request.h"
#include "proto/limits.h"
#include "proto/version.h"

namespace shoal::node {

struct CompanionDesk::State {
  base::Mutex mutex;
  bool is_known ABSL_GUARDED_BY(mutex) = false;
  proto::Digest model ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const CompanionFiles> files ABSL_GUARDED_BY(mutex);
  CallLimit calls{proto::kMaxCompanionCalls, proto::kMaxCompanionCallsPerPeer};

  // What is given of this model, or why nothing is.
  grpc::Status files_of(const std::string& asked, std::shared_ptr<const CompanionFiles>& found) {
    const auto digest = proto::Digest::from_bytes(asked);
    if (!digest) return {grpc::StatusCode::INVALID_ARGUMENT, "a model digest has 32 bytes"};
    const base::MutexLock lock(mutex);
    if (!is_known) {
      return {grpc::StatusCode::UNAVAILABLE, "this node is still joining the swarm"};
    }
    if (*digest != model) {
      return {grpc::StatusCode::NOT_FOUND,
              fmt::format("this node serves model {}, not {}", proto::short_name(model),
                          proto::short_name(*digest))};
    }
    if (files == nullptr) {
      return {grpc::StatusCode::NOT_FOUND,
              "this node's model folder lacks what a client needs, config.json and tokenizer.json"};
    }
    found = files;
    return grpc::Status::OK;
  }
};

// Ends when the answer has left, or its connection is gone.
class CompanionDesk::Sending final : public grpc::ServerUnaryReactor {
 public:
  using Answer = std::function<grpc::Status(const CompanionFiles& files)>;

  static grpc::ServerUnaryReactor* start(const std::shared_ptr<State>& state,
                                         grpc::CallbackServerContext& context,
                                         const wire::Version& version, const std::string& model,
                                         const Answer& answer) {
    const auto refuse = [&](const grpc::Status& status) {
      grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
      reactor->Finish(status);
      return reactor;
    };
    if (const auto refusal = check_version(version)) {
      return refuse({static_cast<grpc::StatusCode>(refusal->code), refusal->reason});
    }
    const auto caller = net::caller_of(context);
    if (!caller.ok()) return refuse({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
    std::shared_ptr<const CompanionFiles> files;
    const grpc::Status known = state->files_of(model, files);
    if (!known.ok()) return refuse(known);
    if (!state->calls.begin(caller->peer)) {
      return refuse({grpc::StatusCode::RESOURCE_EXHAUSTED,
                     "too many ask for the model's files: ask again in a second"});
    }
    auto* const sending = new Sending(state, caller->peer);
    sending->Finish(answer(*files));
    return sending;
  }
  void OnDone() override {
    state_->calls.end(peer_);
    delete this;
  }

 private:
  Sending(std::shared_ptr<State> state, const proto::PeerId& peer)
      : state_(std::move(state)), peer_(peer) {}

  const std::shared_ptr<State> state_;
  const proto::PeerId peer_;
};

CompanionDesk::CompanionDesk() : state_(std::make_shared<State>()) {}

void CompanionDesk::offer(const proto::Digest& model, std::shared_ptr<const CompanionFiles> files) {
  const base::MutexLock lock(state_->mutex);
  state_->is_known = true;
  state_->model = model;
  state_->files = std::move(files);
}

grpc::ServerUnaryReactor* CompanionDesk::list(grpc::CallbackServerContext& context,
                                              const wire::CompanionsRequest& request,
                                              wire::CompanionsReply& reply) {
  return Sending::start(state_, context, request.version(), request.model_digest(),
                        [&](const CompanionFiles& files) {
                          reply = proto::to_wire(files.list);
                          return grpc::Status::OK;
                        });
}

grpc::ServerUnaryReactor* CompanionDesk::piece(grpc::CallbackServerContext& context,
                                               const wire::CompanionPieceRequest& request,
                                               wire::CompanionPieceReply& reply) {
  return Sending::start(
      state_, context, request.version(), request.model_digest(),
      [&](const CompanionFiles& files) -> grpc::Status {
        const auto sha256 = proto::Digest::from_bytes(request.sha256());
        if (!sha256) return {grpc::StatusCode::INVALID_ARGUMENT, "a file's hash has 32 bytes"};
        const auto found =
            std::find_if(files.list.begin(), files.list.end(),
                         [&](const proto::Companion& file) { return file.sha256 == *sha256; });
        if (found == files.list.end()) {
          return {grpc::StatusCode::NOT_FOUND, "this node has no such file"};
        }
        if (request.offset() >= found->size) {
          return {grpc::StatusCode::OUT_OF_RANGE,
                  fmt::format("{} has {} bytes", found->name, found->size)};
        }
        const std::string& bytes =
            files.bytes[static_cast<std::size_t>(found - files.list.begin())];
        *reply.mutable_version() = proto::our_version();
        reply.set_chunk(bytes.substr(request.offset(), proto::kCompanionPieceBytes));
        return grpc::Status::OK;
      });
}

}  // namespace shoal::node
