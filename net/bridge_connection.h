// SPDX-License-Identifier: Apache-2.0
// One connection of net/bridge.h: its two descriptors, and what must happen next. Belongs to one
// thread of a `Bridges`; moves as many bytes as it can whenever it is given a turn.
#pragma once

#include <memory>
#include <string>

#include "net/bridge.h"

namespace shoal::net {

class BridgeConnection {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `scratch`: at least kBridgeChunkBytes, of the thread.
  BridgeConnection(BridgePlan plan, char* scratch, Time now);
  ~BridgeConnection();
  BridgeConnection(const BridgeConnection&) = delete;
  BridgeConnection& operator=(const BridgeConnection&) = delete;

  int socket() const { return socket_; }
  int local() const { return local_; }  // -1 before the handshake and after gRPC is done with it
  // Does what can be done now. True: there is more to do at once, after others had their turn.
  bool turn(Time now);
  void tick(Time now);
  // What came waits until then, and needs a turn; before now: nothing waits.
  Time held_until() const { return in_rest_.empty() ? Time{} : hold_until_; }
  bool is_over() const { return state_ == State::kOver; }
  // Speaks another protocol than gRPC's: hand it over, once nobody watches its socket.
  bool is_visitor() const { return state_ == State::kVisitor; }
  void hand_over();
  // The process ends: do not wait for the peer.
  void hurry() { is_hurried_ = true; }

 private:
  enum class State { kHandshake, kVisitor, kOpen, kLeaving, kOver };

  bool shake_hands(Time now);
  void secured(Time now);
  bool carry_in(Time now);
  bool carry_out(Time now);
  bool flush_in(Time now);
  bool flush_out(Time now);
  bool send_out(std::string_view bytes, Time now, std::size_t& sent);
  void account(Time now);
  void check_wrapping(Time now, std::uint64_t raw_before, std::size_t content);
  void leave_turn(Time now);
  void leave(Time now);
  void hang_up(Fault fault, Time now);
  void over(const absl::Status& status);
  void close_local();

  State state_ = State::kHandshake;
  int socket_;
  int local_ = -1;
  char* const scratch_;
  std::unique_ptr<TlsStream> tls_;
  std::unique_ptr<BridgeOwner> owner_;
  FrameWatch watch_;
  TokenBucket wrapping_;
  Traffic counted_;
  BridgeEnd end_;
  std::string in_rest_;   // not yet taken by gRPC, or held back
  std::string out_rest_;  // not yet taken by the socket
  bool socket_ended_ = false, local_ended_ = false, told_local_ = false, told_socket_ = false;
  bool is_hurried_ = false, has_written_ = false;
  const std::chrono::milliseconds never_reads_;
  Time hold_until_{};  // nothing goes to gRPC before
  Time deadline_;      // of the handshake, later of leaving
  Time out_moved_;     // when the socket last took something
  Time in_moved_;      // when something last came
  std::size_t discarded_ = 0;
};

// The largest TLS record.
inline constexpr std::size_t kBridgeChunkBytes = 16 << 10;

}  // namespace shoal::net
