// SPDX-License-Identifier: Apache-2.0
// Reproducible randomness: a ChaCha20 key stream from a 32-byte seed. The same seed gives the same
// values on every platform, and with a secret seed the values are fit for keys. No std
// distributions: those differ between libraries. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shoal::identity {

class Random {
 public:
  static constexpr std::size_t kSeedBytes = 32;
  using Seed = std::array<std::uint8_t, kSeedBytes>;

  explicit Random(const Seed& seed);
  explicit Random(std::uint64_t seed);  // for tests and simulation
  static Random from_system();

  void fill(std::span<std::uint8_t> out);
  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() {
    std::array<std::uint8_t, N> result;
    fill(result);
    return result;
  }
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), without bias; 0 for bound 0
  double unit();                             // uniform in [0, 1), 53 bits

 private:
  Seed key_;
  std::uint64_t block_ = 0;
  std::size_t used_;
  std::array<std::uint8_t, 512> buffer_{};
};

}  // namespace shoal::identity
