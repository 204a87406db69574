// SPDX-License-Identifier: Apache-2.0
// Randomness of the simulated world: xoshiro256++, a nanosecond a draw, the same on every platform.
// Not for keys: what the core draws comes from identity::Random. Value class.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace shoal::sim {

// A well-mixed function of its argument (splitmix64): seeds, and values that belong to a pair.
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

class FastRandom {
 public:
  explicit FastRandom(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = seed = mix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound); its bias of bound / 2^64 is far below what any run can see.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {  // both included
    return low + below(high - low + 1);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  bool chance(double probability) { return probability > 0 && unit() < probability; }
  double exponential(double mean) { return -mean * std::log(1.0 - unit()); }

  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() {
    std::array<std::uint8_t, N> result;
    for (std::size_t i = 0; i < N; i += 8) {
      const std::uint64_t word = next();
      for (std::size_t j = i; j < N && j < i + 8; ++j)
        result[j] = static_cast<std::uint8_t>(word >> 8 * (j - i));
    }
    return result;
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace shoal::sim
