// SPDX-License-Identifier: Apache-2.0
// One attempt of a race: TCP and TLS to one address, up to the proof that the expected peer is
// there; for an address through a relay that comes after TLS to the relay, and its word that the
// peer's bytes come next. Lives on one io_context's thread; owns its socket until that is taken.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "net/tls_context.h"
#include "net/tunnel_stream.h"
#include "proto/address.h"

namespace shoal::net {

class DialAttempt : public std::enable_shared_from_this<DialAttempt> {
 public:
  using Descriptor = boost::asio::posix::stream_descriptor;

  // `tls` must outlive it and the stream that it makes.
  DialAttempt(boost::asio::io_context& io, const TlsContext& tls, const proto::PeerId& expected,
              const proto::Address& address);

  // `done` is called once, later, on the context's thread; never after cancel().
  void start(std::function<void(const absl::Status&)> done);
  void cancel();

  const proto::Address& address() const { return address_; }
  // What to say when time is up.
  absl::Status silence() const;

  struct Connection {
    std::unique_ptr<Descriptor> socket;
    std::unique_ptr<TlsStream> tls;  // borrows the socket: goes first
    // Where the relay that it goes through sees it.
    std::optional<proto::Endpoint> seen = {};
  };
  Connection take() { return std::move(connection_); }  // after success

 private:
  int connect();  // 0, or errno
  void connected();
  void handshake();
  void secured();
  void hear();  // what the relay answers
  void answered();
  void drop();
  void wait(Descriptor::wait_type what, void (DialAttempt::*then)());
  void finish(const absl::Status& outcome);

  boost::asio::io_context& io_;
  const TlsContext& tls_;
  const proto::PeerId expected_;
  const proto::Address address_;
  std::function<void(const absl::Status&)> done_;
  Connection connection_;
  std::unique_ptr<TunnelStream> relay_;  // while the relay is spoken to
  bool is_through_ = false;              // the relay has said so
};

}  // namespace shoal::net
