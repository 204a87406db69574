// SPDX-License-Identifier: Apache-2.0
// Loops that the compiler vectorises: no branch, no call, every access through memcpy.
#include "base/half.h"

#include <cstring>

namespace shoal::base {
namespace {

// All ones in the exponent: an infinity or a NaN.
constexpr std::uint32_t kBF16Exponent = 0x7f80u, kF16Exponent = 0x7c00u;

template <auto narrow, std::uint32_t exponent>
bool encode(std::span<const float> from, void* to) {
  auto* bytes = static_cast<char*>(to);
  const float* values = from.data();
  const std::size_t count = from.size();
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t bits = narrow(values[i]);
    bad |= static_cast<std::uint32_t>((bits & exponent) == exponent);
    std::memcpy(bytes + 2 * i, &bits, 2);
  }
  return bad == 0;
}

template <auto widen, std::uint32_t exponent>
bool decode(const void* from, std::span<float> to) {
  const auto* bytes = static_cast<const char*>(from);
  float* values = to.data();
  const std::size_t count = to.size();
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    bad |= static_cast<std::uint32_t>((bits & exponent) == exponent);
    values[i] = widen(bits);
  }
  return bad == 0;
}

// As objects, so that the loops see through them.
constexpr auto kToBF16 = [](float value) { return to_bf16(value); };
constexpr auto kToF16 = [](float value) { return to_f16(value); };
constexpr auto kFromBF16 = [](std::uint16_t bits) { return from_bf16(bits); };
constexpr auto kFromF16 = [](std::uint16_t bits) { return from_f16(bits); };

}  // namespace

bool encode_bf16(std::span<const float> from, void* to) {
  return encode<kToBF16, kBF16Exponent>(from, to);
}
bool encode_f16(std::span<const float> from, void* to) {
  return encode<kToF16, kF16Exponent>(from, to);
}
bool decode_bf16(const void* from, std::span<float> to) {
  return decode<kFromBF16, kBF16Exponent>(from, to);
}
bool decode_f16(const void* from, std::span<float> to) {
  return decode<kFromF16, kF16Exponent>(from, to);
}

}  // namespace shoal::base
