// SPDX-License-Identifier: Apache-2.0
// SpanService of proto/span_service.proto: Describe, Manifest, Companions, Session, Push. Reactors
// parse, validate and hand over; they never block. Serves no session until serve() is called.
// Thread-safe. Stop the gRPC server before destroying it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "node/serve/companion_desk.h"
#include "node/serve/manifest_desk.h"
#include "node/serve/session_desk.h"
#include "proto/description.h"
#include "proto/endpoint.h"

namespace grpc {
class Service;
}

namespace shoal::node {

struct ServiceCounts {
  std::size_t sessions = 0;
  std::size_t streams = 0;
  OutboxStats outbox;
  std::uint64_t given_way = 0;  // sessions ended for others who waited
};

class SpanService {
 public:
  // `run` tells this run of our identity from another (node/twin.h); 0: does not tell.
  SpanService(proto::PeerId self, net::ChannelPool& channels, std::uint64_t run = 0);
  ~SpanService();

  // What the gRPC server registers.
  grpc::Service& calls();

  // Once, before anything is served; both must outlive the service's last stream.
  void start(NextHops& next_hops, ServiceBook* book = nullptr) { desk_.start(next_hops, book); }
  // What new sessions are opened on, from now on; null: nothing. What was served before goes on
  // with the sessions that it has; its maker keeps it until nobody else does.
  void serve(std::shared_ptr<const Serving> serving) { desk_.serve(std::move(serving)); }
  std::shared_ptr<const Serving> serving() const { return desk_.serving(); }
  std::size_t sessions_on(const Serving& serving) const {
    return desk_.sessions().size_on(serving);
  }
  void end_sessions_on(const Serving& serving, std::string reason);
  // The served model's manifest, as soon as it is known.
  void offer_manifest(const proto::Digest& digest, std::shared_ptr<const std::string> bytes) {
    manifest_.offer(digest, std::move(bytes));
  }
  // The small files beside it; null: this node has none to give.
  void offer_companions(const proto::Digest& model, std::shared_ptr<const CompanionFiles> files) {
    companions_.offer(model, std::move(files));
  }
  // `moving_to`: the span to which the node is moving; empty: it stays.
  void set_state(proto::NodeState state, proto::Span moving_to = {}) {
    state_ = state;
    moving_to_ = moving_to;
  }
  proto::NodeState state() const { return state_; }
  // What the record says too, as of now.
  proto::Load load() const;

  // From where another run of our own identity has asked us since the last time.
  std::optional<proto::Endpoint> take_twin_call();

  ServiceCounts counts() const;
  // Once a second.
  void sweep(std::chrono::steady_clock::time_point now) { desk_.sweep(now); }
  // No new sessions from now on; whoever asks is told why. Without a reason: again.
  void drain(std::string reason) { desk_.sessions().refuse_new(std::move(reason)); }
  // After drain(): ends the sessions that are left, with UNAVAILABLE; and takes new ones again.
  void end_sessions(std::string reason);
  void accept() { desk_.sessions().refuse_new({}); }
  // Ends every session, with UNAVAILABLE. The streams are gone once gRPC and the peers have let go:
  // await_streams() is false at the timeout.
  void stop(std::string reason);
  bool await_streams(std::chrono::milliseconds timeout) {
    return desk_.registry().wait_empty(timeout);
  }

 private:
  class Calls;

  proto::Description describe() const;

  const proto::PeerId self_;
  const std::uint64_t run_;
  base::Mutex twin_mutex_;
  std::optional<proto::Endpoint> twin_caller_ ABSL_GUARDED_BY(twin_mutex_);
  ManifestDesk manifest_;
  CompanionDesk companions_;
  std::atomic<proto::NodeState> state_ = proto::NodeState::kJoining;
  std::atomic<proto::Span> moving_to_ = proto::Span{};
  SessionDesk desk_;
  const std::unique_ptr<Calls> calls_;
};

}  // namespace shoal::node
