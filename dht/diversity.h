// SPDX-License-Identifier: Apache-2.0
// How many contacts of one network may stand together: in a bucket, in the table, and near a key.
// One owner of few networks then cannot fill a neighbourhood, however many ids it makes. Pure
// functions and one small value class; nothing here applies to private ranges or in keyed swarms.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "dht/config.h"
#include "proto/endpoint.h"

namespace shoal::dht {

// Addresses that no stranger can hold in number: loopback, private, link-local and shared (RFC
// 6598) ranges. No limit counts them.
bool is_exempt(const proto::Endpoint& endpoint);

// The network of an address as a number, equal for equal networks only: IPv4 /24 or IPv6 /48 ...
std::uint64_t narrow_network(const proto::Endpoint& endpoint);
// ... and IPv4 /16 or IPv6 /32.
std::uint64_t wide_network(const proto::Endpoint& endpoint);

// Tells quickly whether addresses are of one network with a given one: a table asks it of all its
// contacts.
class SameNarrowNetwork {
 public:
  explicit SameNarrowNetwork(const proto::Endpoint& endpoint) {
    std::array<std::uint8_t, 16> mask{};
    // An IPv4 /24 is 15 bytes in mapped form. An IPv6 /48 must not take mapped addresses for its
    // own.
    std::fill_n(mask.begin(), endpoint.is_v4() ? 15 : 6, std::uint8_t{0xff});
    network_ = words(endpoint.address);
    if (network_[0] == 0) std::fill_n(mask.begin(), 15, std::uint8_t{0xff});
    mask_ = words(mask);
    for (std::size_t i = 0; i < 2; ++i) network_[i] &= mask_[i];
  }
  bool operator()(const proto::Endpoint& other) const {
    const Words w = words(other.address);
    return (w[0] & mask_[0]) == network_[0] && (w[1] & mask_[1]) == network_[1];
  }

 private:
  using Words = std::array<std::uint64_t, 2>;
  static Words words(const std::array<std::uint8_t, 16>& bytes) {
    return std::bit_cast<Words>(bytes);
  }
  Words mask_, network_;
};

// Whether an address that `teller` told us can be of use: nobody reaches another's private network
// or loopback, and a stranger must not make us send there.
bool may_tell(const proto::Endpoint& teller, const proto::Endpoint& told);

// The peers near one key: close candidates of a lookup, or chosen replicas, closest first.
class NearLimit {
 public:
  explicit NearLimit(const DiversityConfig& config) : config_(config) {}
  // Counts the endpoint in, or says that its networks have their share already.
  bool admit(const proto::Endpoint& endpoint);
  // Somebody there was asked and did not answer. Who seems to be there takes no share of those who
  // are, since anybody may invent him; but of one network not ever more of them are tried.
  void count_silent(const proto::Endpoint& endpoint);

 private:
  // The networks of tens of peers. Made anew for each step of a lookup: not on the heap, and who is
  // surely not in it is told without a search.
  class Networks {
   public:
    std::size_t count(std::uint64_t network) const {
      if (!sieve_[sieve(network)]) return 0;
      return static_cast<std::size_t>(std::count(all_.begin(), all_.end(), network));
    }
    void add(std::uint64_t network) {
      all_.push_back(network);
      sieve_[sieve(network)] = true;
    }

   private:
    static constexpr int kSieveBits = 8;
    static std::size_t sieve(std::uint64_t network) {
      return network * 0x9e3779b97f4a7c15u >> (64 - kSieveBits);
    }
    absl::InlinedVector<std::uint64_t, 48> all_;
    std::bitset<1 << kSieveBits> sieve_;
  };

  DiversityConfig config_;
  Networks narrow_, wide_;  // of everybody admitted
  Networks silent_;         // narrow ones
};

}  // namespace shoal::dht
