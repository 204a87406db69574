// SPDX-License-Identifier: Apache-2.0
// Whether datagrams go by UDP or through connections: a race towards the addresses of --join, run
// again when they are asked anew, and now and then in a tunnel, since networks change. Pure: time
// by argument; who owns it sends, and tells what answered.
#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "dht/time.h"
#include "proto/endpoint.h"

namespace shoal::dht {

// What a program was told about UDP (--udp).
enum class UdpUse : std::uint8_t { kAuto, kOff };

class WayChoice {
 public:
  enum class Way : std::uint8_t {
    kUdp,
    // By the connection to that peer where one is up, else by UDP while one is made.
    kEither,
    kTunnel,
  };
  // UDP has so long for a first answer, then connections are made as well.
  static constexpr Duration kHeadStart = milliseconds(400);
  // A connection that answered is taken when UDP has been silent for so long.
  static constexpr Duration kPatience = milliseconds(700);
  // Where others answer, but nobody of those that we joined by, in neither way.
  static constexpr Duration kOthersSuffice = milliseconds(2'000);
  // In a tunnel, UDP is tried so often, for so long.
  static constexpr Duration kProbeEvery = minutes(5);
  static constexpr Duration kProbe = seconds(1);

  // `tunnels`: whether there are any to choose.
  WayChoice(bool tunnels, UdpUse use) : tunnels_(tunnels), udp_(use == UdpUse::kAuto || !tunnels) {}

  // The addresses of --join are asked from now on, because nobody else is known or answers.
  void asked(TimePoint now);
  // An answer came, by UDP or through a connection; `joined_by`: from such an address. That
  // another one answers through a connection says nothing of UDP if it answers by UDP as well, or
  // somebody on the Internet does.
  void heard_by_udp(const proto::Endpoint& from, bool joined_by, TimePoint now);
  void heard_in_tunnel(const proto::Endpoint& from, bool joined_by, TimePoint now);
  // Decides what is due; then way() says what holds until next().
  void handle_timeout(TimePoint now);
  std::optional<TimePoint> next(TimePoint now) const;

  Way way() const { return way_; }
  // Of a datagram to an address that we joined by, while way() is kTunnel: by UDP all the same.
  bool is_probing(TimePoint now) const { return probe_until_ && now < *probe_until_; }
  // Whether such an address should be asked something now, because a probe begins; says so once.
  bool take_probe();

 private:
  void settle(Way way, TimePoint now);
  std::optional<TimePoint> others_due() const;

  const bool tunnels_, udp_;
  Way way_ = tunnels_ && !udp_ ? Way::kTunnel : Way::kUdp;
  std::optional<TimePoint> raced_since_;
  bool tunnel_answered_ = false;
  // Of this race, whom we did not join by: who answered by UDP, and who only otherwise.
  std::set<proto::Endpoint> others_by_udp_, others_in_tunnel_;
  std::optional<TimePoint> other_answered_at_;
  bool internet_by_udp_ = false;
  std::optional<TimePoint> next_probe_, probe_until_;
  bool probe_due_ = false;
};

}  // namespace shoal::dht
