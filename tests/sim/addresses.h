// SPDX-License-Identifier: Apache-2.0
// Where simulated peers live. Public: IPv4 networks as uneven as the Internet's (few /16 hold many
// peers, most hold few; most /24 hold one peer). Private: 10.0.0.0/8, as in a laboratory. Value
// classes.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "proto/endpoint.h"
#include "tests/sim/fast_random.h"

namespace shoal::sim {

using PeerIndex = std::uint32_t;
inline constexpr PeerIndex kNobody = ~PeerIndex{0};

enum class AddressKind { kPublic, kPrivate };

class AddressPlan {
 public:
  AddressPlan(AddressKind kind, std::uint64_t seed);

  proto::Endpoint next();  // one that was never given out
  // A /24 of public addresses that no honest peer has or will get, and a host in it.
  std::uint32_t reserve_network();
  static proto::Endpoint host(std::uint32_t network24, std::uint8_t host, std::uint16_t port);

 private:
  std::uint32_t draw_network16();

  const AddressKind kind_;
  FastRandom random_;
  std::uint32_t given_ = 0;                      // private addresses
  std::vector<std::uint32_t> networks_;          // of /24 in use
  std::unordered_set<std::uint32_t> addresses_;  // in use
  std::unordered_set<std::uint32_t> reserved_;   // /24
};

// Who is at an endpoint. Open addressing, so that a look-up is one or two cache lines.
class AddressBook {
 public:
  AddressBook();
  void set(const proto::Endpoint& endpoint, PeerIndex peer);
  void erase(const proto::Endpoint& endpoint);
  PeerIndex find(const proto::Endpoint& endpoint) const;  // kNobody when nobody is there

 private:
  struct Slot {
    std::uint64_t key = 0;  // address and port; 0: free
    PeerIndex peer = kNobody;
  };
  static std::uint64_t key_of(const proto::Endpoint& endpoint);
  std::size_t slot_of(std::uint64_t key) const;
  void grow();

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

}  // namespace shoal::sim
