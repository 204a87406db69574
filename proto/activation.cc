// SPDX-License-Identifier: Apache-2.0
#include "proto/activation.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proto/limits.h"

namespace shoal::proto {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little endian");

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// IEEE binary16 by hand: clang 14 has no _Float16 on plain x86-64.
std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x47800000u) return sign | 0x7c00u;  // 65,536 and more: infinity
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 makes the last place 2^-24, that of a subnormal, and rounds there.
    const auto rounded = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
    return static_cast<std::uint16_t>(sign | (rounded - 0x3f000000u));
  }
  magnitude += 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<std::uint16_t>(sign |
                                    (magnitude - 0x38000000u) >> 13);  // exponent bias 127 to 15
}

float from_f16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffu : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

// An exponent of all ones is an infinity or a NaN.
bool is_finite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) != 0x7f800000u;
}

absl::Status not_finite(std::size_t index, std::uint32_t hidden) {
  return absl::InvalidArgumentError(absl::StrCat("activation has a value that is not finite (row ",
                                                 index / hidden, ", column ", index % hidden, ")"));
}

}  // namespace

std::size_t codec_bytes(wire::Codec codec) {
  switch (codec) {
    case wire::CODEC_F32:
      return 4;
    case wire::CODEC_BF16:
    case wire::CODEC_F16:
      return 2;
    default:
      return 0;
  }
}

std::string_view codec_name(wire::Codec codec) {
  switch (codec) {
    case wire::CODEC_F32:
      return "f32";
    case wire::CODEC_BF16:
      return "bf16";
    case wire::CODEC_F16:
      return "f16";
    default:
      return "unknown";
  }
}

absl::StatusOr<wire::Activation> encode_activation(std::span<const float> rows,
                                                   std::uint32_t row_count, std::uint32_t hidden,
                                                   wire::Codec codec) {
  const std::size_t width = codec_bytes(codec);
  const std::size_t count = std::size_t{row_count} * hidden;
  if (width == 0 || count == 0 || rows.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat("cannot encode ", rows.size(), " values as [",
                                                   row_count, ", ", hidden, "] with codec ",
                                                   static_cast<int>(codec)));
  }
  wire::Activation message;
  message.set_codec(codec);
  message.set_rows(row_count);
  message.set_hidden(hidden);
  std::string& data = *message.mutable_data();
  data.resize(count * width);
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_finite(rows[i])) return not_finite(i, hidden);
  }
  if (codec == wire::CODEC_F32) {
    std::memcpy(data.data(), rows.data(), data.size());
    return message;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool bf16 = codec == wire::CODEC_BF16;
    const std::uint16_t bits = bf16 ? to_bf16(rows[i]) : to_f16(rows[i]);
    if (!is_finite(bf16 ? from_bf16(bits) : from_f16(bits))) return not_finite(i, hidden);
    std::memcpy(data.data() + 2 * i, &bits, 2);
  }
  return message;
}

absl::StatusOr<std::vector<float>> decode_activation(const wire::Activation& message,
                                                     std::uint32_t expected_hidden,
                                                     std::uint32_t max_rows) {
  const std::size_t width = codec_bytes(message.codec());
  if (width == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("activation codec ", static_cast<int>(message.codec()), " is not known here"));
  }
  if (message.hidden() != expected_hidden || message.rows() == 0 || message.rows() > max_rows) {
    return absl::InvalidArgumentError(absl::StrCat("activation is [", message.rows(), ", ",
                                                   message.hidden(), "], expected [1..", max_rows,
                                                   ", ", expected_hidden, "]"));
  }
  const std::size_t count = std::size_t{message.rows()} * message.hidden();
  if (message.data().size() != count * width) {
    return absl::InvalidArgumentError(absl::StrCat("activation has ", message.data().size(),
                                                   " bytes, its shape needs ", count * width));
  }
  std::vector<float> values(count);
  if (message.codec() == wire::CODEC_F32) {
    std::memcpy(values.data(), message.data().data(), message.data().size());
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, message.data().data() + 2 * i, 2);
      values[i] = message.codec() == wire::CODEC_BF16 ? from_bf16(bits) : from_f16(bits);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_finite(values[i])) return not_finite(i, message.hidden());
  }
  return values;
}

}  // namespace shoal::proto
