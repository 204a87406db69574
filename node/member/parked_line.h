// SPDX-License-Identifier: Apache-2.0
// One connection that is parked at a relay until somebody calls: dials the relay, asks to be kept,
// and then gives the connection away, at the first byte of whoever called. Lives on one
// io_context's thread, where its hooks are called; never after cancel(). Owns its socket until
// then.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "net/tls_context.h"
#include "net/tunnel_stream.h"
#include "node/member/relay_choice.h"

namespace shoal::node {

class ParkedLine : public std::enable_shared_from_this<ParkedLine> {
 public:
  struct Hooks {
    // The relay keeps it; `observed` is where it sees the connection come from, `anchored` whether
    // that is our port.
    std::function<void(const proto::PeerId& relay, const proto::Endpoint& observed, bool anchored)>
        parked;
    // Last: a caller is there, who comes from `caller`; the socket is the hook's.
    std::function<void(int socket, const proto::Endpoint& caller)> called;
    // Last: it is no more. `retry`: not before, as the relay said.
    std::function<void(const absl::Status& why, std::chrono::milliseconds retry)> ended;
  };
  // `tls` must outlive it. `port`: the connection leaves from this one of ours, if that can be.
  ParkedLine(boost::asio::io_context& io, const net::TlsContext& tls, const RelayCandidate& relay,
             std::optional<std::uint16_t> port, Hooks hooks);
  ~ParkedLine();

  void start();  // hooks are called later
  void cancel();
  bool is_parked() const { return is_parked_; }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;

  int connect();  // 0, or errno
  void connected();
  void handshake();
  void hear();
  void answered();
  void wait(Descriptor::wait_type what, void (ParkedLine::*then)());
  void end(const absl::Status& why, std::chrono::milliseconds retry = {});
  void drop();

  boost::asio::io_context& io_;
  const net::TlsContext& tls_;
  const RelayCandidate relay_;
  const std::optional<std::uint16_t> port_;
  Hooks hooks_;
  bool is_alive_ = true;
  bool is_parked_ = false;
  bool is_anchored_ = false;  // leaves from port_
  boost::asio::steady_timer timer_;
  std::unique_ptr<Descriptor> socket_;
  std::unique_ptr<net::TlsStream> stream_;  // borrows the socket: goes first
  std::unique_ptr<net::TunnelStream> words_;
};

}  // namespace shoal::node
