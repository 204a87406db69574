// SPDX-License-Identifier: Apache-2.0
// Seeded values for questions to a card, as words: kinds of tiles that tell rules of rounding
// apart, or that fall at the ends of the range.
#pragma once

#include <cstdint>
#include <span>

namespace shoal::kernels::cuda::truth {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();  // SplitMix64
  std::uint32_t word() { return static_cast<std::uint32_t>(bits() >> 32); }
  int below(int n) { return static_cast<int>(word() % static_cast<unsigned>(n)); }
  // Of any sign, exponents over so many binades about 1.
  float about_one(int binades);

 private:
  std::uint64_t state_;
};

enum class Kind : std::uint8_t {
  kOneBinade,
  kSixBinades,
  kFortyBinades,
  kAllBinades,  // of bf16, infinities and NaN left out
  kSubnormal,   // values or products below the least normal number
  kCancelling,  // each product beside its opposite, but for small rests
  kSpecial,     // some infinities, NaN and zeros of both signs
  kAnyBits
};
inline constexpr Kind kKinds[] = {Kind::kOneBinade,  Kind::kSixBinades, Kind::kFortyBinades,
                                  Kind::kAllBinades, Kind::kSubnormal,  Kind::kCancelling,
                                  Kind::kSpecial,    Kind::kAnyBits};
const char* name_of(Kind kind);

// Words of parts.h: d and then `steps` times a and b.
void fill_bf16_tile(Draw& draw, Kind kind, int steps, std::span<std::uint32_t> words);
// A float's bits, of any kind.
std::uint32_t any_float(Draw& draw);

}  // namespace shoal::kernels::cuda::truth
