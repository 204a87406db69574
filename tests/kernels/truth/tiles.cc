// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/truth/tiles.h"

#include <cmath>

#include "base/half.h"
#include "tests/kernels/truth/parts.h"

namespace shoal::kernels::cuda::truth {
namespace {

using base::bits_of;
using base::float_of;

float value_of(Draw& draw, Kind kind) {
  switch (kind) {
    case Kind::kOneBinade:
    case Kind::kCancelling:
      return draw.about_one(1);
    case Kind::kSixBinades:
      return draw.below(10) == 0 ? 0.0f : draw.about_one(6);
    case Kind::kFortyBinades:
      return draw.below(10) == 0 ? 0.0f : draw.about_one(40);
    case Kind::kAllBinades: {
      const std::uint32_t word = draw.word();
      return (word & 0x7f800000u) == 0x7f800000u ? 1.0f : float_of(word);
    }
    case Kind::kSubnormal:
      return std::ldexp(draw.about_one(8), draw.below(2) == 0 ? -66 : -128);
    case Kind::kSpecial: {
      constexpr std::uint32_t kSpecials[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0u,
                                             0x80000000u, 0x7f7f0000u, 0x00010000u};
      return draw.below(24) == 0 ? float_of(kSpecials[draw.below(7)]) : draw.about_one(6);
    }
    case Kind::kAnyBits:
      break;
  }
  return float_of(draw.word());
}

// Cut, not rounded: what is finite stays so.
std::uint32_t bf16_of(float v) { return bits_of(v) >> 16; }
std::uint32_t pair_of(Draw& draw, Kind kind) {
  const std::uint32_t low = bf16_of(value_of(draw, kind));
  return low | bf16_of(value_of(draw, kind)) << 16;
}

// The second of each pair of products is the first's opposite, unless it is a small one.
void cancel(Draw& draw, std::uint32_t* a, std::uint32_t* b) {
  for (int i = 0; i < kTileA; ++i) {
    const std::uint32_t rest = bf16_of(std::ldexp(draw.about_one(1), -draw.below(30)));
    const std::uint32_t other = draw.below(8) == 0 ? rest : (a[i] & 0xffffu) ^ 0x8000u;
    a[i] = (a[i] & 0xffffu) | other << 16;
  }
  for (int i = 0; i < kTileB; ++i) b[i] = (b[i] & 0xffffu) * 0x10001u;
}

}  // namespace

std::uint64_t Draw::bits() {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

float Draw::about_one(int binades) {
  const int exponent = below(binades) - binades / 2;
  const std::uint32_t draw = word();
  return std::ldexp(float_of(0x3f800000u | (draw & 0x7fffffu) | (draw & 0x80000000u)), exponent);
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kOneBinade:
      return "one binade";
    case Kind::kSixBinades:
      return "6 binades";
    case Kind::kFortyBinades:
      return "40 binades";
    case Kind::kAllBinades:
      return "all binades";
    case Kind::kSubnormal:
      return "subnormal";
    case Kind::kCancelling:
      return "cancelling";
    case Kind::kSpecial:
      return "infinities, NaN";
    case Kind::kAnyBits:
      return "any bits";
  }
  return "";
}

void fill_bf16_tile(Draw& draw, Kind kind, int steps, std::span<std::uint32_t> words) {
  std::uint32_t* at = words.data();
  for (int i = 0; i < kTileD; ++i) *at++ = bits_of(value_of(draw, kind));
  for (int step = 0; step < steps; ++step) {
    std::uint32_t* const a = at;
    for (int i = 0; i < kTileA + kTileB; ++i) *at++ = pair_of(draw, kind);
    if (kind == Kind::kCancelling) cancel(draw, a, a + kTileA);
  }
}

std::uint32_t any_float(Draw& draw) { return bits_of(value_of(draw, kKinds[draw.below(8)])); }

}  // namespace shoal::kernels::cuda::truth
