// SPDX-License-Identifier: Apache-2.0
#include "dht/udp_question.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

#include "dht/session.h"
#include "dht/udp_socket.h"
#include "identity/random.h"
#include "proto/dht.pb.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskAgain{400};
constexpr std::size_t kPongRoom = 128;  // bytes that the answer may need

TimePoint question_time() { return TimePoint(Clock::now().time_since_epoch()); }

}  // namespace

class UdpQuestion::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, const std::optional<identity::SwarmKey>& swarm_key,
       const Contact& peer, std::uint32_t timeout_ms, std::function<void(Outcome)> done)
      : io_(io),
        timer_(io),
        peer_(peer),
        end_(Clock::now() + std::chrono::milliseconds(timeout_ms)),
        done_(std::move(done)),
        nobody_(identity::Identity::generate()),
        random_(identity::Random::from_system()),
        sessions_(nobody_, swarm_key, SessionConfig{}, /*client_mode=*/true, random_) {}

  void start() {
    proto::Endpoint any;  // [::]:0
    if (peer_.endpoint.is_v4()) any = proto::Endpoint::v4({0, 0, 0, 0}, 0);
    auto socket = UdpSocket::open(io_, any);
    if (!socket.ok()) return finish_later(Outcome::kUnsent);
    socket_.emplace(*std::move(socket));
    receive();
    ask();
  }

  void close() {
    done_ = nullptr;
    timer_.cancel();
    if (socket_) socket_->close();
  }

 private:
  void ask() {
    wire::DhtMessage message;
    message.set_request_id(random_.next() | 1);
    message.set_client_mode(true);
    message.mutable_ping();
    if (!sessions_.ask(peer_, message.SerializeAsString(), kPongRoom, question_time()) ||
        !transmit()) {
      return finish_later(Outcome::kUnsent);
    }
    timer_.expires_at(std::min(end_, Clock::now() + kAskAgain));
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error || !self->done_) return;
      if (Clock::now() >= self->end_) return self->finish(Outcome::kSilent);
      self->ask();
    });
  }

  bool transmit() {
    bool sent = true;
    while (const auto datagram = sessions_.poll_transmit())
      sent = socket_->send(datagram->bytes, datagram->to, nullptr) && sent;
    return sent;
  }

  void receive() {
    socket_->async_wait_readable([self =
                                      shared_from_this()](const boost::system::error_code& error) {
      if (error || !self->done_) return;
      while (const auto arrival = self->socket_->receive(self->buffer_)) {
        const auto answer = self->sessions_.receive({self->buffer_.data(), arrival->size},
                                                    arrival->from, question_time());
        // Only the peer itself can seal a reply to this question.
        if (answer && answer->via == Sessions::Via::kReply && answer->from.peer == self->peer_.peer)
          return self->finish(Outcome::kAnswered);
        self->transmit();
      }
      self->receive();
    });
  }

  void finish_later(Outcome outcome) {
    asio::post(io_, [self = shared_from_this(), outcome] { self->finish(outcome); });
  }

  void finish(Outcome outcome) {
    if (!done_) return;
    const auto done = std::move(done_);
    close();
    done(outcome);
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  const Contact peer_;
  const Clock::time_point end_;
  std::function<void(Outcome)> done_;  // empty: over
  const identity::Identity nobody_;    // who asks a question is named nowhere
  identity::Random random_;
  Sessions sessions_;
  std::optional<UdpSocket> socket_;
  std::array<char, proto::kMaxDatagramBytes + 1> buffer_{};
};

UdpQuestion::UdpQuestion(asio::io_context& io, const std::optional<identity::SwarmKey>& swarm_key,
                         const Contact& peer, std::uint32_t timeout_ms,
                         std::function<void(Outcome)> done)
    : impl_(std::make_shared<Impl>(io, swarm_key, peer, timeout_ms, std::move(done))) {
  impl_->start();
}

UdpQuestion::~UdpQuestion() { impl_->close(); }

}  // namespace shoal::dht
