// SPDX-License-Identifier: Apache-2.0
// Randomness for sampling: xoshiro256** seeded by splitmix64 (Blackman and Vigna,
// prng.di.unimi.it), in integer arithmetic alone, so that a seed gives the same numbers on every
// machine. Not for secrets. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>

namespace shoal::base {

class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();
  double uniform();  // in [0, 1), a multiple of 2^-53

 private:
  std::array<std::uint64_t, 4> state_;
};

// A seed from the system's randomness, below 2^53: it survives a trip through any JSON reader.
std::uint64_t random_seed();

}  // namespace shoal::base
