// SPDX-License-Identifier: Apache-2.0
#include "node/member/reach_service.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "dht/udp_question.h"
#include "identity/certificate.h"
#include "net/caller.h"
#include "net/dial_attempt.h"
#include "net/status.h"
#include "net/tls_context.h"
#include "proto/limits.h"
#include "proto/reach_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
using PlainReachService =
    wire::ReachService::WithCallbackMethod_DialBack<wire::ReachService::Service>;

wire::DialBackOutcome outcome_of(const absl::Status& status) {
  if (status.ok()) return wire::DIAL_BACK_REACHED;
  if (absl::IsUnauthenticated(status)) return wire::DIAL_BACK_OTHER;
  if (status == net::connect_failure(ENETUNREACH) || status == net::connect_failure(EAFNOSUPPORT) ||
      status == net::connect_failure(EMFILE)) {
    return wire::DIAL_BACK_UNTRIED;
  }
  return wire::DIAL_BACK_REFUSED;
}

wire::DialBackOutcome outcome_of(dht::UdpQuestion::Outcome outcome) {
  switch (outcome) {
    case dht::UdpQuestion::Outcome::kAnswered:
      return wire::DIAL_BACK_REACHED;
    case dht::UdpQuestion::Outcome::kSilent:
      return wire::DIAL_BACK_SILENT;
    case dht::UdpQuestion::Outcome::kUnsent:
      break;
  }
  return wire::DIAL_BACK_UNTRIED;
}

}  // namespace

class ReachService::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  Impl(net::IoThread& io, const identity::Identity& identity,
       const std::optional<identity::SwarmKey>& swarm_key, const DialBackLimits& limits)
      : io_(io),
        swarm_key_(swarm_key),
        tls_(identity::make_certificate(identity, swarm_key), swarm_key),
        budget_(limits, Clock::now()),
        calls_(*this) {}

  grpc::Service& calls() { return calls_; }

  void stop() {
    {
      const base::MutexLock lock(mutex_);
      if (std::exchange(stopped_, true)) return;
    }
    io_.run_and_wait([this] {
      const std::set<std::shared_ptr<Job>> jobs = jobs_;
      for (const std::shared_ptr<Job>& job : jobs) job->abandon();
    });
  }

 private:
  // One call. Lives on the net thread but for its construction.
  class Job : public std::enable_shared_from_this<Job> {
   public:
    Job(Impl& owner, const net::Caller& caller, const wire::DialBackRequest& request,
        wire::DialBackReply& reply, grpc::ServerUnaryReactor& reactor)
        : owner_(owner),
          timer_(owner.io_.context()),
          peer_(caller.peer),
          at_(caller.address),
          tcp_(request.tcp()),
          udp_(request.udp()),
          reply_(reply),
          reactor_(reactor) {
      at_.port = static_cast<std::uint16_t>(request.port());
      if (const auto key = identity::PublicKey::from_bytes(request.public_key())) key_ = *key;
    }

    void start() {
      timer_.expires_after(std::chrono::milliseconds(proto::kDialBackTimeoutMs));
      timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->end_tcp(wire::DIAL_BACK_SILENT);
      });
      if (udp_) {
        question_ = std::make_unique<dht::UdpQuestion>(
            owner_.io_.context(), owner_.swarm_key_, dht::Contact{peer_, at_, key_},
            proto::kDialBackTimeoutMs, [self = shared_from_this()](auto outcome) {
              self->reply_.set_udp(outcome_of(outcome));
              self->udp_ = false;
              self->finish_when_done();
            });
      }
      if (tcp_) {
        attempt_ =
            std::make_shared<net::DialAttempt>(owner_.io_.context(), owner_.tls_, peer_, at_);
        attempt_->start([self = shared_from_this()](const absl::Status& status) {
          // It is proven who is there: nothing more is wanted of the connection.
          if (status.ok()) self->attempt_->take().tls->close_notify();
          self->end_tcp(outcome_of(status));
        });
      }
    }

    void abandon() { finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "this node is leaving")); }

   private:
    void end_tcp(wire::DialBackOutcome outcome) {
      if (!std::exchange(tcp_, false)) return;
      reply_.set_tcp(outcome);
      finish_when_done();
    }
    void finish_when_done() {
      if (!tcp_ && !udp_) finish(grpc::Status::OK);
    }
    void finish(const grpc::Status& status) {
      if (std::exchange(finished_, true)) return;
      const auto self = shared_from_this();
      timer_.cancel();
      if (attempt_ != nullptr) attempt_->cancel();
      attempt_.reset();
      question_.reset();
      owner_.ended(self);
      reactor_.Finish(status);
    }

    Impl& owner_;
    boost::asio::steady_timer timer_;
    const proto::PeerId peer_;
    proto::Endpoint at_;
    identity::PublicKey key_{};
    bool tcp_, udp_;  // still open
    bool finished_ = false;
    wire::DialBackReply& reply_;  // gRPC's, until it is finished
    grpc::ServerUnaryReactor& reactor_;
    std::shared_ptr<net::DialAttempt> attempt_;
    std::unique_ptr<dht::UdpQuestion> question_;
  };

  class Calls final : public PlainReachService {
   public:
    explicit Calls(Impl& owner) : owner_(owner) {}
    grpc::ServerUnaryReactor* DialBack(grpc::CallbackServerContext* context,
                                       const wire::DialBackRequest* request,
                                       wire::DialBackReply* reply) override {
      grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
      const grpc::Status status = owner_.take(*context, *request, *reply, *reactor);
      if (!status.ok()) reactor->Finish(status);
      return reactor;
    }

   private:
    Impl& owner_;
  };

  // OK: the reactor will be finished.
  grpc::Status take(const grpc::ServerContextBase& context, const wire::DialBackRequest& request,
                    wire::DialBackReply& reply, grpc::ServerUnaryReactor& reactor) {
    const auto refuse = [](grpc::StatusCode code, const std::string& why) {
      return grpc::Status(code, why);
    };
    if (const auto why =
            proto::why_version_refused(request.version(), "you speak", "this node speaks")) {
      return refuse(grpc::StatusCode::FAILED_PRECONDITION, *why);
    }
    const auto caller = net::caller_of(context);
    if (!caller.ok()) return net::to_grpc(caller.status());
    if (caller->came_elsewhere) {
      return refuse(grpc::StatusCode::FAILED_PRECONDITION,
                    "a dial-back goes where the connection comes from, and this one came through a "
                    "relay: ask over a direct one");
    }
    if (request.port() == 0 || request.port() > 65'535) {
      return refuse(grpc::StatusCode::INVALID_ARGUMENT,
                    "a dial-back needs a port of 1 to 65535 at which the caller listens");
    }
    if (request.udp()) {
      const auto key = identity::PublicKey::from_bytes(request.public_key());
      if (!key || identity::peer_id_of(*key) != caller->peer) {
        return refuse(grpc::StatusCode::INVALID_ARGUMENT,
                      "a dial-back by UDP needs the caller's own public key");
      }
    }
    *reply.mutable_version() = proto::our_version();
    reply.set_seen_address(proto::encode_endpoint(caller->address));
    if (!request.tcp() && !request.udp()) {  // only wants to know where it is seen
      reactor.Finish(grpc::Status::OK);
      return grpc::Status::OK;
    }
    const base::MutexLock lock(mutex_);
    if (stopped_) return refuse(grpc::StatusCode::UNAVAILABLE, "this node is leaving");
    if (!budget_.begin(caller->peer, net::Network::of(caller->address), Clock::now())) {
      return refuse(grpc::StatusCode::RESOURCE_EXHAUSTED,
                    "dialled back often enough of late: ask another peer, or again in a minute");
    }
    const auto job = std::make_shared<Job>(*this, *caller, request, reply, reactor);
    io_.post([self = shared_from_this(), job] {
      self->jobs_.insert(job);
      {
        const base::MutexLock lock(self->mutex_);
        if (!self->stopped_) return job->start();
      }
      job->abandon();
    });
    return grpc::Status::OK;
  }

  void ended(const std::shared_ptr<Job>& job) {
    jobs_.erase(job);
    const base::MutexLock lock(mutex_);
    budget_.end();
  }

  net::IoThread& io_;
  const std::optional<identity::SwarmKey> swarm_key_;
  const net::TlsContext tls_;
  std::set<std::shared_ptr<Job>> jobs_;  // on the net thread
  base::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  DialBackBudget budget_ ABSL_GUARDED_BY(mutex_);
  Calls calls_;
};

ReachService::ReachService(net::IoThread& io, const identity::Identity& identity,
                           const std::optional<identity::SwarmKey>& swarm_key,
                           const DialBackLimits& limits)
    : impl_(std::make_shared<Impl>(io, identity, swarm_key, limits)) {}
ReachService::~ReachService() { impl_->stop(); }
grpc::Service& ReachService::calls() { return impl_->calls(); }
void ReachService::stop() { impl_->stop(); }

}  // namespace shoal::node
