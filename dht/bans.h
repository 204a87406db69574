// SPDX-License-Identifier: Apache-2.0
// Who misbehaved where only he can have done it (in a session, or from a proven address), and until
// when he is not heard: longer each time, forgotten after a while. Value class, no clock, no I/O,
// bounded.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "dht/config.h"
#include "dht/contact.h"

namespace shoal::dht {

class Bans {
 public:
  explicit Bans(const BanConfig& config) : config_(config) {}

  // Bans the peer id, and its address: in private ranges, where many peers share one, only with the
  // port. Nothing happens to one who is banned already: what was in flight does not count again.
  void add(const Contact& offender, TimePoint now);

  bool has(const proto::PeerId& peer, TimePoint now) const;
  bool has(const proto::Endpoint& endpoint, TimePoint now) const;
  std::size_t size() const { return entries_.size(); }  // remembered, banned or not
  std::uint64_t total() const { return total_; }        // offences so far

 private:
  using Name = std::array<std::uint8_t, 33>;  // a kind, then a peer id or an address
  struct Entry {
    TimePoint until;
    int times = 0;
  };
  static Name name_of(const proto::PeerId& peer);
  static Name name_of(const proto::Endpoint& endpoint);
  bool has(const Name& name, TimePoint now) const;
  void add(const Name& name, TimePoint now);

  const BanConfig config_;
  std::map<Name, Entry> entries_;
  std::uint64_t total_ = 0;
};

}  // namespace shoal::dht
