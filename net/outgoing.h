// SPDX-License-Identifier: Apache-2.0
// One connection to one peer: dialled in a race over its addresses, then a bridge between the TLS
// stream and the end of a socket pair whose other end is gRPC's. What the peer sends is walked
// frame by frame before gRPC sees it. A connection that never comes up answers each call with the
// reason. Lives on one io_context's thread, but for what is said to be for any thread. Lives until
// gRPC lets go of its end, or close().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "net/dead_end.h"
#include "net/dial_attempt.h"
#include "net/dial_race.h"
#include "net/frame_watch.h"
#include "net/tls_context.h"
#include "net/token_bucket.h"

namespace shoal::net {

class Outgoing : public std::enable_shared_from_this<Outgoing> {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Phase { kDialling, kUp, kEnded };
  struct Relayed {
    std::uint16_t local_port = 0;
    proto::Endpoint seen;
  };
  struct State {
    Phase phase = Phase::kDialling;
    std::optional<proto::Address> address;  // where the peer answered
    bool came_up = false;                   // it did answer, whatever happened then
    Fault fault = Fault::kNone;             // for which we hung up on it
    // Of a connection through a relay that is up: the port that it leaves from, and where the relay
    // sees it.
    std::optional<Relayed> relayed;
    Clock::time_point ended_at;
    Clock::time_point last_moved;  // bytes, in either direction
  };

  // `local` is our end of the socket pair. `tls` must outlive it.
  Outgoing(boost::asio::io_context& io, const TlsContext& tls, const proto::PeerId& peer,
           int local);

  // Once. `on_closed`: gRPC has let go, or close() was called.
  void dial(const std::vector<proto::Address>& addresses,
            const std::optional<proto::Address>& worked_last, std::function<void()> on_closed);
  // The same with a connection that is there, to the peer, who has proven it.
  void adopt(DialAttempt::Connection connection, const proto::Address& address,
             std::function<void()> on_closed);
  // The same without a peer: every call hears `why`.
  void refuse(const absl::Status& why, std::function<void()> on_closed);
  // More addresses, as long as it is being dialled.
  void add(const std::vector<proto::Address>& addresses);
  void close();

  State state() const;  // any thread

 private:
  using Descriptor = DialAttempt::Descriptor;
  struct Pipe {  // bytes on their way; at most one buffer of them
    std::vector<char> bytes;
    std::size_t begin = 0, end = 0;
    bool empty() const { return begin == end; }
  };

  void race();
  void attempted(const std::shared_ptr<DialAttempt>& attempt, const absl::Status& outcome);
  void won(DialAttempt& attempt);
  void begin(Clock::time_point answer_due);
  void set_timer(Clock::time_point when, void (Outgoing::*then)());
  void slept(Clock::duration time);
  void fail(const absl::Status& why);
  void tick();
  void cut(Fault fault);

  void pump();
  Fault look(std::uint64_t raw_before);
  bool move_down();  // from the peer to gRPC; whether anything moved
  bool move_up();
  void peer_ended(const absl::Status& why);
  void answer_dead_end();
  struct Readiness {
    bool wanted = false, awaited = false;
  };
  void wait_for(Descriptor& descriptor, Descriptor::wait_type what, Readiness& readiness);
  void wait_for_all();
  void note_moved();

  boost::asio::io_context& io_;
  const TlsContext& tls_context_;
  const proto::PeerId peer_;
  std::function<void()> on_closed_;
  boost::asio::steady_timer timer_;
  std::optional<DialRace> race_;
  std::vector<std::shared_ptr<DialAttempt>> attempts_;
  std::unique_ptr<Descriptor> local_;
  DialAttempt::Connection remote_;
  std::optional<FrameWatch> watch_;
  std::optional<TokenBucket> wrapping_;
  Clock::time_point answer_due_;
  std::optional<DeadEnd> dead_end_;
  std::string dead_end_says_;
  Pipe down_, up_;
  // What gRPC sent before the peer's first byte: should none ever come, it is answered by a dead
  // end.
  std::string unanswered_;
  bool too_much_unanswered_ = false;
  bool came_up_ = false, peer_ended_ = false;
  Readiness remote_readable_, remote_writable_, local_readable_, local_writable_;

  mutable base::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::net
