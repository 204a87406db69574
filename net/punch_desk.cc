// SPDX-License-Identifier: Apache-2.0
#include "net/punch_desk.h"

#include <chrono>
#include <map>
#include <string>

#include "net/caller.h"
#include "net/punch_dial.h"
#include "net/punch_plan.h"
#include "proto/limits.h"
#include "proto/types.h"
#include "proto/version.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPunchNonceBytes = 16;
// From the first message to the last try.
constexpr std::chrono::seconds kMeetingLasts{10};
// The longest that a caller waits; we do not know its way.
constexpr auto kDeskWindow = std::chrono::milliseconds(1'500);

grpc::ServerUnaryReactor* refuse_punch(grpc::CallbackServerContext& context, grpc::StatusCode code,
                                       const std::string& why) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish({code, why});
  return reactor;
}

}  // namespace

// On the io thread. Outlives the desk until what was posted has run.
class PunchDesk::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(IoThread& io, PunchDeskOptions options)
      : io_(io), options_(std::move(options)), budget_(Clock::now()) {}

  IoThread& io() { return io_; }
  void open(std::uint16_t port) { port_ = port; }
  void close() {
    port_ = 0;
    meetings_.clear();  // each cancels its dial
  }

  grpc::Status meet(const Caller& caller, const wire::PunchRequest& request,
                    wire::PunchReply& reply) {
    const auto now = Clock::now();
    if (port_ == 0) return {grpc::StatusCode::UNAVAILABLE, "this node is starting or stopping"};
    if (!budget_.take(caller.peer, caller.relay, now)) {
      return {grpc::StatusCode::RESOURCE_EXHAUSTED,
              "too many tries to connect directly: the connection stays relayed for a while"};
    }
    std::vector<proto::Endpoint> told;
    for (const std::string& bytes : request.candidates()) {
      if (const auto endpoint = proto::decode_endpoint(bytes)) told.push_back(*endpoint);
    }
    const auto seen = options_.seen();
    std::erase_if(meetings_, [&](const auto& entry) { return now >= entry.second.until; });
    Meeting& meeting = meetings_[caller.peer];
    meeting = {};
    meeting.nonce = request.nonce();
    meeting.targets = punch_targets(told, caller.address, seen);
    meeting.until = now + kMeetingLasts;
    const bool caller_first = !options_.passes_udp();
    meeting.tries = first_punch_try(caller_first);
    reply.set_caller_first(caller_first);
    for (const proto::Endpoint& endpoint : punch_candidates(seen, options_.own(), port_))
      reply.add_candidates(proto::encode_endpoint(endpoint));
    *reply.mutable_version() = proto::our_version();
    return grpc::Status::OK;
  }

  grpc::Status go(const Caller& caller, const wire::GoRequest& request) {
    const auto found = meetings_.find(caller.peer);
    if (port_ == 0 || found == meetings_.end() || found->second.nonce != request.nonce() ||
        Clock::now() >= found->second.until) {
      return {grpc::StatusCode::NOT_FOUND, "this meeting is over, or never was"};
    }
    Meeting& meeting = found->second;
    // Each try once, in turn: that bounds what is dialled for one meeting.
    if (request.attempt() != meeting.tries || meeting.tries >= kPunchTries.size())
      return {grpc::StatusCode::OUT_OF_RANGE, "there is no such try"};
    const PunchTry& next = kPunchTries[meeting.tries++];
    if (next.again && !options_.varies() && meeting.dial != nullptr &&
        meeting.dial->dial->is_waiting())
      return grpc::Status::OK;
    meeting.dial = std::make_shared<Dial>(io_.context(), port_);
    meeting.dial->dial->start(meeting.targets, next.hops, kDeskWindow, options_.add, [] {});
    return grpc::Status::OK;
  }

 private:
  struct Dial {
    Dial(boost::asio::io_context& io, std::uint16_t port)
        : dial(std::make_shared<PunchDial>(io, port)) {}
    ~Dial() { dial->cancel(); }
    const std::shared_ptr<PunchDial> dial;
  };
  struct Meeting {
    std::string nonce;
    std::vector<proto::Endpoint> targets;
    std::size_t tries = 0;
    Clock::time_point until;
    std::shared_ptr<Dial> dial;  // of the last try
  };

  IoThread& io_;
  const PunchDeskOptions options_;
  std::uint16_t port_ = 0;
  PunchBudget budget_;
  std::map<proto::PeerId, Meeting> meetings_;  // bounded by the budget
};

PunchDesk::PunchDesk(IoThread& io, PunchDeskOptions options)
    : impl_(std::make_shared<Impl>(io, std::move(options))) {}

PunchDesk::~PunchDesk() { close(); }

void PunchDesk::open(std::uint16_t port) {
  impl_->io().run_and_wait([&] { impl_->open(port); });
}

void PunchDesk::close() {
  impl_->io().run_and_wait([&] { impl_->close(); });
}

grpc::ServerUnaryReactor* PunchDesk::Punch(grpc::CallbackServerContext* context,
                                           const wire::PunchRequest* request,
                                           wire::PunchReply* reply) {
  if (const auto why =
          proto::why_version_refused(request->version(), "you speak", "this node speaks"))
    return refuse_punch(*context, grpc::StatusCode::FAILED_PRECONDITION, *why);
  const auto caller = caller_of(*context);
  if (!caller.ok())
    return refuse_punch(*context, grpc::StatusCode::UNAUTHENTICATED, "who are you?");
  if (request->nonce().size() != kPunchNonceBytes)
    return refuse_punch(*context, grpc::StatusCode::INVALID_ARGUMENT, "a nonce has 16 bytes");
  if (request->candidates_size() > static_cast<int>(proto::kMaxPunchCandidates))
    return refuse_punch(*context, grpc::StatusCode::INVALID_ARGUMENT,
                        "too many addresses to meet at");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  impl_->io().post([impl = impl_, reactor, caller = *caller, request, reply] {
    reactor->Finish(impl->meet(caller, *request, *reply));
  });
  return reactor;
}

grpc::ServerUnaryReactor* PunchDesk::Go(grpc::CallbackServerContext* context,
                                        const wire::GoRequest* request, wire::GoReply* /*reply*/) {
  const auto caller = caller_of(*context);
  if (!caller.ok())
    return refuse_punch(*context, grpc::StatusCode::UNAUTHENTICATED, "who are you?");
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  impl_->io().post([impl = impl_, reactor, caller = *caller, request] {
    reactor->Finish(impl->go(caller, *request));
  });
  return reactor;
}

}  // namespace shoal::net
