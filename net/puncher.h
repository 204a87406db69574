// SPDX-License-Identifier: Apache-2.0
// The calling end of hole punching: over a relayed connection it agrees with the peer where to
// meet, and tries as net/punch_plan.h says, from the port of its connection to the relay. Lives on
// one io_context's thread, until it has told what came of it.
#pragma once

#include <grpcpp/channel.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/punch_dial.h"
#include "net/tls_context.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::net {

class Puncher : public std::enable_shared_from_this<Puncher> {
 public:
  using Descriptor = boost::asio::posix::stream_descriptor;

  // The connection to the relay that the channel goes over.
  struct From {
    std::uint16_t local_port = 0;
    proto::Endpoint seen;  // where the relay sees it
  };
  struct Met {
    proto::Endpoint at;
    std::unique_ptr<Descriptor> socket;
    std::unique_ptr<TlsStream> tls;  // borrows the socket; the peer is proven
  };
  using Done = std::function<void(absl::StatusOr<Met>)>;

  // `tls` must outlive it and what it made.
  Puncher(boost::asio::io_context& io, const TlsContext& tls, const proto::PeerId& peer,
          std::shared_ptr<grpc::Channel> channel, const From& from);
  ~Puncher();

  // `own`: addresses of this machine. `done`: once, on the io thread; not after cancel(), which
  // must come before the context's end.
  void start(const std::vector<proto::Endpoint>& own, Done done);
  void cancel();

 private:
  using Clock = std::chrono::steady_clock;
  struct Gate;
  struct Calls;
  struct Handshake;

  void agreed(const std::vector<proto::Endpoint>& told, bool first,
              std::chrono::milliseconds round_trip);
  void next_try();
  void dial();
  void connected(int socket, const proto::Endpoint& at);
  void shake_hands(const std::shared_ptr<Handshake>& handshake);
  void listen();
  void accept_some();
  void window_over();
  void finish(absl::StatusOr<Met> outcome);

  boost::asio::io_context& io_;
  const TlsContext& tls_;
  const proto::PeerId peer_;
  const From from_;
  Done done_;
  const std::shared_ptr<Gate> gate_;
  std::unique_ptr<Calls> calls_;
  std::string nonce_;
  std::vector<proto::Endpoint> targets_;
  std::chrono::milliseconds round_trip_{0};
  std::size_t tries_ = 0;
  std::shared_ptr<PunchDial> dial_;
  std::unique_ptr<Descriptor> listening_;
  std::vector<std::shared_ptr<Handshake>> handshakes_;
  boost::asio::steady_timer timer_;
};

}  // namespace shoal::net
