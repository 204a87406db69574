// SPDX-License-Identifier: Apache-2.0
// How others reach this node, rung by rung, for each address family: directly; by a port that the
// router maps; through relays. Says what to do next, what to announce, and what to tell people.
// Decides only: no clock, no I/O. Value class. docs/reachability.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "net/port_mapping.h"
#include "node/member/dial_back.h"
#include "proto/address.h"
#include "proto/endpoint.h"

namespace shoal::node {

enum class Family : std::uint8_t { kV4, kV6 };
inline constexpr std::array kFamilies = {Family::kV4, Family::kV6};
inline bool is_of(Family family, const proto::Endpoint& endpoint) {
  return endpoint.is_v4() == (family == Family::kV4);
}

// --reach: auto; direct: as told, whatever helpers say; relay: through relays without a try.
enum class ReachMode : std::uint8_t { kAuto, kDirect, kRelay };

enum class Rung : std::uint8_t {
  kUnknown,      // not found out yet, or no address of this family
  kNobodyToAsk,  // no helper: announced as it is
  kDirect,
  kMapped,   // by the router, for us
  kRelayed,  // only through relays
  kUnreached,
};

struct LadderOptions {
  ReachMode mode = ReachMode::kAuto;
  std::uint16_t port = 0;  // that we listen on
  // By --announce: what own addresses say is announced whatever comes, and asked about.
  std::array<std::uint16_t, 2> told_ports{};  // of each family; 0: not told
  bool may_map = true;
  bool may_relay = true;
};

class Ladder {
 public:
  explicit Ladder(const LadderOptions& options = {}) : options_(options) {}

  enum class Step : std::uint8_t {
    kNothing,
    kAsk,    // helpers, for port_to_ask()
    kMap,    // the router, anew when it has mapped already
    kRelay,  // wait for relays, as wants_relays() says
  };
  // A new round for the families that we have addresses of. What is announced stays until it ends.
  void begin(bool v4, bool v6);
  // Our addresses are others: what was found of those before says nothing. Not so when one is only
  // new, and is where helpers have seen us all the time (`is_elsewhere` is false).
  bool is_elsewhere(std::span<const proto::Endpoint> before,
                    std::span<const proto::Endpoint> now) const;
  void forget();
  Step next(Family family) const;
  std::uint16_t port_to_ask(Family family) const;
  // Whether UDP has the same port out there.
  bool asks_udp(Family family) const;

  // What came of each step.
  void judged(Family family, const Verdict& verdict);
  // All who could be asked are our relays, which our own connections let in. So their "reached" is
  // no news, and "not reached" is: who was reached so far asks them (kAsk), who was not keeps them.
  Step only_relays_to_ask(Family family);
  void mapped(Family family, const absl::StatusOr<net::PortMapping>& mapping);
  void relayed(std::size_t relays);
  // The router has mapped another port by itself, or none any more. Between rounds.
  void remap(Family family, const absl::StatusOr<net::PortMapping>& mapping);

  // Our public address, at a router that others come through, when it is not known yet whether the
  // router turns back what comes to it from inside. If it does not, neighbours behind it, who may
  // not be asked to dial our private address, meet us by a relay (docs/hole-punching.md).
  std::optional<proto::Endpoint> untried_from_inside(std::span<const proto::Endpoint> own) const;
  void tried_from_inside(bool came_back);

  // While some family is reached in no other way, or by strangers only.
  bool wants_relays() const;
  Rung rung(Family family) const { return state(family).rung; }
  // Of the last round; the rung below follows from it.
  const Verdict& verdict(Family family) const { return state(family).last; }
  const std::optional<net::PortMapping>& mapping(Family family) const {
    return state(family).mapping;
  }
  // Why the router maps nothing; empty: it was not asked, or does.
  const std::string& why_unmapped(Family family) const { return state(family).why_unmapped; }
  bool is_settled() const;  // every family that is there has its rung
  // Whether strangers' datagrams reach our UDP port by some family; nullopt: unknown.
  std::optional<bool> udp_reached() const;

  // What to announce: of `own`, best first, what is of use, the router's port, and the relays'; at
  // most kMaxRecordAddresses, never empty where `own` is not.
  std::vector<proto::Address> announced(std::span<const proto::Endpoint> own,
                                        std::span<const proto::Address> relays) const;
  // For people: "direct", "mapped by UPnP", "through relays 1a2b3c4d and 5e6f7a8b; forward TCP and
  // UDP port 7000 to this machine for more speed". Empty: nothing is known.
  std::string told(std::span<const proto::Endpoint> own,
                   std::span<const proto::Address> relays) const;

 private:
  enum class Stage : std::uint8_t { kIdle, kAsking, kMapping, kAskingMapped, kRelaying };
  struct State {
    bool is_there = false;
    Stage stage = Stage::kIdle;
    Rung rung = Rung::kUnknown;
    Verdict last;
    std::optional<net::PortMapping> mapping;
    std::string why_unmapped;
    bool doubted = false;   // a word against what was so far is asked for twice
    bool remapped = false;  // in this round
    // Of `inside_at`, our public address: whether neighbours behind our router come in there.
    std::optional<proto::Endpoint> inside_at;
    bool inside_comes_back = false;
  };
  State& state(Family family) { return states_[static_cast<std::size_t>(family)]; }
  const State& state(Family family) const { return states_[static_cast<std::size_t>(family)]; }
  std::uint16_t outside_port(Family family) const {
    const std::uint16_t told = options_.told_ports[static_cast<std::size_t>(family)];
    return told != 0 ? told : options_.port;
  }
  bool is_as_told() const {
    return options_.mode == ReachMode::kDirect || options_.told_ports[0] != 0 ||
           options_.told_ports[1] != 0;
  }
  std::optional<proto::Endpoint> outside_of(Family family) const;
  static void settle(State& state, Rung rung);
  void go_down(State& state);
  std::string words_of(const State& state, std::span<const proto::Endpoint> own,
                       std::span<const proto::Address> relays, Family family) const;

  LadderOptions options_;
  std::array<State, 2> states_;
};

}  // namespace shoal::node
