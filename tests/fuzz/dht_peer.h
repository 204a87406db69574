// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets of the DHT share: peers with fixed seeds, and a reader of the input as a
// list of chunks. In a public swarm everybody can seal a datagram, so the targets seal what the
// fuzzer wrote: behind the seal is where strangers get to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "dht/session.h"
#include "tests/identity/examples.h"

namespace shoal::dht {

inline const auto kVictimAt = proto::Endpoint::v4({93, 184, 216, 1}, 7000);
inline const auto kPeerAt = proto::Endpoint::v4({151, 101, 1, 2}, 7000);
inline const auto kElsewhere = proto::Endpoint::v4({185, 15, 59, 3}, 7000);
inline const TimePoint kStart{seconds(1000)};

// The same as in tests/dht/golden.cc, so that its datagrams are of use as a corpus.
inline const identity::Identity& victim_identity() {
  static const identity::Identity identity = identity::identity_of(2);
  return identity;
}
inline const identity::Identity& peer_identity() {
  static const identity::Identity identity = identity::identity_of(1);
  return identity;
}
inline Contact contact_of(const identity::Identity& identity, const proto::Endpoint& at) {
  return {identity.peer_id(), at, identity.public_key()};
}

inline std::string sealed(std::string_view plain) {
  static const Seal seal(std::nullopt);
  static identity::Random random(5);
  std::string datagram = begin_datagram(plain.size());
  datagram += plain;
  seal.close(datagram, random);
  return datagram;
}

// Takes the input apart from its beginning; beyond its end everything is zero or empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::size_t number() { return static_cast<std::size_t>(byte()) << 8 | byte(); }
  // Two bytes of length, then so many bytes, or as many as there are.
  std::string_view chunk() {
    const std::size_t size = number();
    const std::string_view result = rest_.substr(0, size);
    rest_.remove_prefix(result.size());
    return result;
  }
  std::string_view rest() { return std::exchange(rest_, {}); }

 private:
  std::string_view rest_;
};

}  // namespace shoal::dht
