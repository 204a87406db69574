// SPDX-License-Identifier: Apache-2.0
#include "net/puncher.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/mutex.h"
#include "identity/random.h"
#include "net/punch_plan.h"
#include "net/socket_address.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/punch.grpc.pb.h"
#include "proto/version.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPunchCallTimeout{5'000};
// TLS over what has come up.
constexpr milliseconds kMeetingHandshakeTime{2'000};
constexpr int kMeetingBacklog = 4;
// At once: each address that is dialled, and those that come from there.
constexpr std::size_t kMaxMeetingHandshakes = 2 * proto::kMaxPunchCandidates;

void hang_up_on(int socket) { ::close(socket); }

}  // namespace

// The way home for gRPC's threads, which end the calls: closed when nothing is waited for any more,
// and perhaps the context is gone.
struct Puncher::Gate {
  explicit Gate(boost::asio::io_context& home) : io(&home) {}
  base::Mutex mutex;
  boost::asio::io_context* io ABSL_GUARDED_BY(mutex);

  template <typename Work>
  void post(Work work) {
    const base::MutexLock lock(mutex);
    if (io != nullptr) boost::asio::post(*io, std::move(work));
  }
  void close() {
    const base::MutexLock lock(mutex);
    io = nullptr;
  }
};

struct Puncher::Calls {
  explicit Calls(std::shared_ptr<grpc::Channel> on)
      : channel(std::move(on)), stub(wire::PunchService::NewStub(channel)) {}
  struct Meet {
    grpc::ClientContext context;
    wire::PunchRequest request;
    wire::PunchReply reply;
  };
  struct Begin {
    grpc::ClientContext context;
    wire::GoRequest request;
    wire::GoReply reply;
  };
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<wire::PunchService::Stub> stub;
};

struct Puncher::Handshake {
  proto::Endpoint at;
  std::unique_ptr<Descriptor> socket;
  std::unique_ptr<TlsStream> tls;
};

Puncher::Puncher(boost::asio::io_context& io, const TlsContext& tls, const proto::PeerId& peer,
                 std::shared_ptr<grpc::Channel> channel, const From& from)
    : io_(io),
      tls_(tls),
      peer_(peer),
      from_(from),
      gate_(std::make_shared<Gate>(io)),
      calls_(std::make_unique<Calls>(std::move(channel))),
      timer_(io) {}
Puncher::~Puncher() = default;

void Puncher::start(const std::vector<proto::Endpoint>& own, Done done) {
  done_ = std::move(done);
  identity::Random random = identity::Random::from_system();
  const auto nonce = random.bytes<16>();
  nonce_.assign(nonce.begin(), nonce.end());
  const auto call = std::make_shared<Calls::Meet>();
  *call->request.mutable_version() = proto::our_version();
  call->request.set_nonce(nonce_);
  for (const proto::Endpoint& endpoint : punch_candidates(from_.seen, own, from_.local_port))
    call->request.add_candidates(proto::encode_endpoint(endpoint));
  call->context.set_deadline(std::chrono::system_clock::now() + kPunchCallTimeout);
  const auto begun = Clock::now();
  calls_->stub->async()->Punch(
      &call->context, &call->request, &call->reply,
      [weak = weak_from_this(), gate = gate_, call, begun](const grpc::Status& status) {
        const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - begun);
        gate->post([weak, call, took, status] {
          const auto self = weak.lock();
          if (self == nullptr || !self->done_) return;
          if (!status.ok()) return self->finish(to_absl(status, proto::short_name(self->peer_)));
          std::vector<proto::Endpoint> told;
          for (const std::string& bytes : call->reply.candidates()) {
            if (told.size() == proto::kMaxPunchCandidates) break;
            if (const auto endpoint = proto::decode_endpoint(bytes)) told.push_back(*endpoint);
          }
          self->agreed(told, call->reply.caller_first(), took);
        });
      });
}

void Puncher::agreed(const std::vector<proto::Endpoint>& told, bool first,
                     milliseconds round_trip) {
  round_trip_ = round_trip;
  tries_ = first_punch_try(first);
  // The first is where a relay sees it. A peer may name any public address of its own in its
  // record as well, and who answers there is proven by TLS; but one in our own network only where
  // the relay sees us in there, too.
  if (!told.empty() && (from_.seen.is_private() || !told.front().is_private()))
    targets_ = punch_targets(told, told.front(), from_.seen);
  if (targets_.empty())
    return finish(absl::UnavailableError("it names no address at which it could be met"));
  listen();
  next_try();
}

// Where the peer's router gives each of its connections another port, it is ours that it finds.
void Puncher::listen() {
  const bool v4 = from_.seen.is_v4();
  const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  if (!v4) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
  proto::Endpoint any;
  if (v4) any = proto::Endpoint::v4({0, 0, 0, 0}, 0);
  any.port = from_.local_port;
  sockaddr_storage address;
  const socklen_t size = to_system(any, address);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(fd, kMeetingBacklog) != 0) {
    return hang_up_on(fd);
  }
  listening_ = std::make_unique<Descriptor>(io_, fd);
  accept_some();
}

void Puncher::accept_some() {
  listening_->async_wait(Descriptor::wait_read, [self = shared_from_this()](
                                                    const boost::system::error_code& error) {
    if (error || !self->done_ || self->listening_ == nullptr) return;
    sockaddr_storage address;
    socklen_t size = sizeof(address);
    const int fd = accept4(self->listening_->native_handle(), reinterpret_cast<sockaddr*>(&address),
                           &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      const proto::Endpoint from = endpoint_of(address);
      const bool expected = std::ranges::any_of(self->targets_, [&](const proto::Endpoint& target) {
        return target.address == from.address;
      });
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
      expected ? self->connected(fd, from) : hang_up_on(fd);
    }
    if (self->listening_ != nullptr) self->accept_some();
  });
}

void Puncher::next_try() {
  if (tries_ == kPunchTries.size()) {
    return finish(absl::UnavailableError(
        "no direct connection came up: both networks give each connection another port, or let "
        "none in"));
  }
  const PunchTry& next = kPunchTries[tries_];
  const auto call = std::make_shared<Calls::Begin>();
  call->request.set_nonce(nonce_);
  call->request.set_attempt(static_cast<std::uint32_t>(tries_++));
  call->context.set_deadline(std::chrono::system_clock::now() + kPunchCallTimeout);
  if (next.caller_hops > 0) dial();
  calls_->stub->async()->Go(
      &call->context, &call->request, &call->reply,
      [weak = weak_from_this(), gate = gate_, call, next](const grpc::Status& status) {
        gate->post([weak, next, status] {
          const auto self = weak.lock();
          if (self == nullptr || !self->done_) return;
          if (!status.ok()) return self->finish(to_absl(status, proto::short_name(self->peer_)));
          if (!next.together && next.caller_hops == 0) self->dial();
        });
      });
  if (!next.together) return;
  timer_.expires_after(round_trip_ / 2);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && self->done_) self->dial();
  });
}

void Puncher::dial() {
  const PunchTry& now = kPunchTries[tries_ - 1];
  dial_ = std::make_shared<PunchDial>(io_, from_.local_port);
  dial_->start(
      targets_, now.caller_hops, punch_window(now, round_trip_),
      [self = shared_from_this()](int socket, const proto::Endpoint& at) {
        self->connected(socket, at);
      },
      [self = shared_from_this()] { self->window_over(); });
}

void Puncher::connected(int socket, const proto::Endpoint& at) {
  if (!done_ || handshakes_.size() >= kMaxMeetingHandshakes) return hang_up_on(socket);
  auto handshake = std::make_shared<Handshake>();
  handshake->at = at;
  handshake->socket = std::make_unique<Descriptor>(io_, socket);
  handshake->tls = tls_.dial(socket, peer_);
  handshakes_.push_back(handshake);
  shake_hands(handshake);
}

void Puncher::shake_hands(const std::shared_ptr<Handshake>& handshake) {
  const auto again = [&](Descriptor::wait_type what) {
    handshake->socket->async_wait(
        what, [self = shared_from_this(), handshake](const boost::system::error_code& error) {
          if (!error && self->done_ && handshake->socket != nullptr) self->shake_hands(handshake);
        });
  };
  switch (handshake->tls->handshake()) {
    case TlsStream::Io::kDone:
      return finish(Met{handshake->at, std::move(handshake->socket), std::move(handshake->tls)});
    case TlsStream::Io::kWantRead:
      return again(Descriptor::wait_read);
    case TlsStream::Io::kWantWrite:
      return again(Descriptor::wait_write);
    case TlsStream::Io::kClosed:
    case TlsStream::Io::kFailed:
      handshake->tls.reset();
      handshake->socket.reset();
      std::erase(handshakes_, handshake);
      return;
  }
}

void Puncher::window_over() {
  if (!done_) return;
  if (handshakes_.empty()) return next_try();
  // Something is there; whoever it is has a little longer to prove it.
  timer_.expires_after(kMeetingHandshakeTime);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || !self->done_) return;
    for (const auto& handshake : self->handshakes_) {
      handshake->tls.reset();
      handshake->socket.reset();
    }
    self->handshakes_.clear();
    self->next_try();
  });
}

void Puncher::finish(absl::StatusOr<Met> outcome) {
  const auto done = std::move(done_);
  cancel();
  if (done) done(std::move(outcome));
}

void Puncher::cancel() {
  done_ = nullptr;
  gate_->close();
  timer_.cancel();
  if (dial_ != nullptr) dial_->cancel();
  listening_.reset();
  for (const auto& handshake : handshakes_) {
    handshake->tls.reset();
    handshake->socket.reset();
  }
  handshakes_.clear();
}

}  // namespace shoal::net
