// SPDX-License-Identifier: Apache-2.0
// Hole punching, the decisions: what each end of a relayed connection tells the other, which of
// that it may dial, how and how often it is tried, and whom it is not tried with again for a while.
// Nobody makes another dial at will: a public address is dialled only where the relay itself saw
// the other end, a private one only where both ends are behind the same public address. Pure: time
// by argument.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "net/token_bucket.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::net {

// `seen`: where a relay sees the socket from whose port we will dial; `own`: this machine's
// addresses. The likeliest first, at most kMaxPunchCandidates; `own` take that socket's port.
std::vector<proto::Endpoint> punch_candidates(const std::optional<proto::Endpoint>& seen,
                                              const std::vector<proto::Endpoint>& own,
                                              std::uint16_t port);

// Of what the other end told, what may be dialled: `seen` is where the relay sees the other end,
// `seen_us` where one sees us. No well-known port, which no router takes for such a connection (RFC
// 4787, REQ-3), two ports of the public address, one of private ones, and never ourselves.
std::vector<proto::Endpoint> punch_targets(const std::vector<proto::Endpoint>& told,
                                           const proto::Endpoint& seen,
                                           const std::optional<proto::Endpoint>& seen_us);

// One try. The called end begins; the caller follows when it hears so, or (together) after the time
// that a message takes.
struct PunchTry {
  // Of the called end's first packet, so that it opens the way in its own routers and dies before
  // the caller's, which would refuse it, and with it the connection; 0: no limit. Behind one router
  // it is forwarded once, behind two twice.
  int hops = 0;
  bool together = false;
  // The called end's packet of the try before is still out: it stays, and the kernel sends it
  // again, with no limit, a second after it was first sent. Another one would begin anew, and a
  // router that dropped the caller's meanwhile takes that for no part of this connection.
  bool again = false;
  // The other way round: the caller's first packet goes out before, and lives for so many hops.
  int caller_hops = 0;
};
inline constexpr std::array<PunchTry, 4> kPunchTries = {
    {{.caller_hops = 3}, {.hops = 2}, {.hops = 3}, {.together = true, .again = true}}};
// A router that lets no UDP out may let no packet in that begins a connection either, and once it
// has seen one, none of ours out that answers it: so the called end behind such a router has the
// first packet that arrives anywhere.
constexpr std::size_t first_punch_try(bool caller_first) { return caller_first ? 0 : 1; }

// How long a try is waited for: three ways, and slow routers; and for what is sent again.
std::chrono::milliseconds punch_window(const PunchTry& tried, std::chrono::milliseconds round_trip);

// The caller's: with whom it was tried in vain.
class PunchMemory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whether to try now; counts as begun.
  bool begin(const proto::PeerId& peer, Time now);
  // Both ends' networks are what they were: it would fail again.
  void failed(const proto::PeerId& peer, Time now);
  // Our addresses changed: what failed may succeed.
  void clear() { not_before_.clear(); }
  std::size_t size() const { return not_before_.size(); }

 private:
  std::map<proto::PeerId, Time> not_before_;
};

// The called end's: how often it lets itself be asked.
class PunchBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit PunchBudget(Time now);
  // `relay`: that the peer came through. Who invents callers spends what one relay has.
  bool take(const proto::PeerId& peer, const std::optional<proto::PeerId>& relay, Time now);
  std::size_t size() const { return peers_.size(); }

 private:
  TokenBucket all_;
  std::map<proto::PeerId, TokenBucket> peers_, relays_;
};

}  // namespace shoal::net
