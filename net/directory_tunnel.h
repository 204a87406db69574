// SPDX-License-Identifier: Apache-2.0
// One connection that carries datagrams of the directory: dialled, or come in at the front's door.
// Frames as of dht/datagram_frames.h in both directions. Lives on one io_context's thread; owns its
// socket. What does not fit into its queue is lost, as it might be on the way.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "dht/datagram_frames.h"
#include "net/door.h"
#include "net/tls_context.h"
#include "net/token_bucket.h"

namespace shoal::net {

// ALPN's name of it.
inline constexpr char kDirectoryProtocol[] = "shoal-dht/1";

class DirectoryTunnel : public std::enable_shared_from_this<DirectoryTunnel> {
 public:
  using Clock = std::chrono::steady_clock;

  // `contact`: as the directory names the other end.
  DirectoryTunnel(boost::asio::io_context& io, const proto::Endpoint& contact);

  using Receive = std::function<void(std::string_view datagram, const proto::Endpoint& from)>;
  // Begins to connect to `contact`; `tls` must outlive it. Whoever proves to be of our swarm is
  // welcome: the directory has its own proof of who answers.
  void dial(const TlsContext& tls, Receive receive);
  // Takes the visitor.
  void receive_visitor(Visitor visitor, Receive receive);

  void send(std::string_view datagram);
  void close();

  bool is_up() const { return phase_ == Phase::kUp; }
  bool is_closed() const { return phase_ == Phase::kClosed; }
  bool came_up() const { return came_up_; }
  // Of the last datagram, either way.
  Clock::time_point used() const { return used_; }
  Clock::time_point begun() const { return begun_; }
  const proto::Endpoint& contact() const { return contact_; }
  const proto::PeerId& peer() const { return peer_; }  // once it is up
  const Admission* admission() const { return admission_.get(); }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  enum class Phase { kConnecting, kHandshake, kUp, kClosed };

  int connect(const proto::Endpoint& address);  // 0, or errno
  void connected(const TlsContext& tls);
  void handshake();
  void up();
  void read_some();
  bool take(std::string_view bytes);  // false: closed, or it waits
  void flush();
  void wait(Descriptor::wait_type what, void (DirectoryTunnel::*then)());
  void wait_for_reading();
  void breaks_rules(const char* why);

  boost::asio::io_context& io_;
  const proto::Endpoint contact_;
  Receive receive_;
  Phase phase_ = Phase::kConnecting;
  bool came_up_ = false, flush_waits_ = false;
  const Clock::time_point begun_;
  Clock::time_point used_;
  std::unique_ptr<Descriptor> socket_;
  std::unique_ptr<TlsStream> tls_;  // borrows the socket: goes first
  std::shared_ptr<Admission> admission_;
  proto::PeerId peer_;
  boost::asio::steady_timer pause_;
  TokenBucket datagrams_, wrapping_;
  dht::FrameReader reader_;
  std::string rest_;  // read, and waiting for the bucket
  std::string out_;
  std::size_t sent_ = 0;  // of out_
};

}  // namespace shoal::net
