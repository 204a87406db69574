// SPDX-License-Identifier: Apache-2.0
// Decides whether strangers can reach us. A question from an address that we wrote nothing to
// lately got through by itself; where none come, others are asked to have third peers ping us
// (dial-backs), and three of five decide. Value classes: no clock, no I/O, bounded.
// docs/protocol-dht.md, "Reachability".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dht/config.h"
#include "dht/limiter.h"
#include "identity/random.h"
#include "proto/endpoint.h"

namespace shoal::dht {

// Addresses that we wrote to lately: none is forgotten before `memory`, all are after half as long
// again. Once a thousand are known one other in five is taken for one of them. (Bloom filters with
// one hash, keyed: nobody can choose addresses that fall together.)
class RecentAddresses {
 public:
  RecentAddresses(Duration memory, identity::Random& random)
      : generation_(memory / (kGenerations - 1)), secret_(random.next()) {}
  void add(const proto::Endpoint& endpoint, TimePoint now);
  bool has(const proto::Endpoint& endpoint, TimePoint now);

 private:
  static constexpr std::size_t kBits = 4096;
  static constexpr std::size_t kGenerations = 3;
  using Filter = std::array<std::uint64_t, kBits / 64>;
  std::size_t place(const proto::Endpoint& endpoint) const;
  void rotate(TimePoint now);

  const Duration generation_;
  const std::uint64_t secret_;
  TimePoint began_{};  // of the youngest
  std::array<Filter, kGenerations> filters_{};
  std::size_t youngest_ = 0;
};

class Reachability {
 public:
  enum class State : std::uint8_t { kUnknown, kReachable, kUnreachable };

  Reachability(const ReachabilityConfig& config, identity::Random& random, TimePoint now);

  // We sent something there.
  void sent(const proto::Endpoint& to, TimePoint now) { written_.add(to, now); }
  // A question came from there; `token` is that of a dial-back, or 0.
  void heard(const proto::Endpoint& from, std::uint64_t token, TimePoint now);

  // While it cannot be judged, and need not be: nothing is asked until `first` after it.
  void not_needed(TimePoint now);
  // Begins and ends rounds. Due at next_timeout().
  void handle_timeout(TimePoint now);
  TimePoint next_timeout() const;
  // Whether a dial-back should be asked for now, and of whom not: one helper per network and round.
  bool wants_more() const;
  bool may_help(const proto::Endpoint& helper) const;
  // One is asked of `helper`; its token. Then what the helper said (a failure: no).
  std::uint64_t asked(const proto::Endpoint& helper, identity::Random& random, TimePoint now);
  void answered(std::uint64_t token, bool promised, TimePoint now);

  State state() const { return state_; }
  std::uint64_t asks() const { return total_asks_; }

 private:
  struct Dial {
    TimePoint overdue;
    bool promised = false;
  };
  struct Stranger {
    std::uint64_t network = 0;
    TimePoint at;
  };
  bool strangers_come(TimePoint now) const;
  void judge(TimePoint now);
  void end_round(State state, TimePoint now);

  const ReachabilityConfig config_;
  const TimePoint started_;
  RecentAddresses written_;
  State state_ = State::kUnknown;
  std::vector<Stranger> strangers_;  // of different networks, the latest of each; at most `needed`
  std::uint64_t total_asks_ = 0;

  bool running_ = false;  // a round
  TimePoint next_round_;
  TimePoint round_began_{};
  bool stranger_in_round_ = false;
  std::size_t asks_ = 0, confirmed_ = 0, missed_ = 0;
  Duration wait_;                       // after a round that decides nothing
  std::map<std::uint64_t, Dial> open_;  // by token
  std::vector<std::uint64_t> helpers_,
      dialers_;  // networks of those asked, and of those who dialed
};

// How much of this we do for others.
class DialHelp {
 public:
  DialHelp(const ReachabilityConfig& config, identity::Random& random)
      : secret_(random.next()),
        all_(config.help),
        networks_(config.help_network, config.max_help_sources) {}
  bool take(const proto::Endpoint& asker, TimePoint now);

 private:
  const std::uint64_t secret_;
  const Rate all_;
  TimePoint all_full_at_{};
  RateTable networks_;
};

}  // namespace shoal::dht
