// SPDX-License-Identifier: Apache-2.0
#include "proto/activation.h"

#include <bit>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/finite.h"
#include "base/half.h"
#include "proto/limits.h"

namespace shoal::proto {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little endian");

// Names the first of [rows, hidden] values that is not finite after rounding to the codec.
absl::Status not_finite(std::span<const float> values, std::uint32_t hidden, wire::Codec codec) {
  std::size_t index = 0;
  while (index + 1 < values.size()) {
    const float value = values[index];
    const float sent = codec == wire::CODEC_BF16  ? base::from_bf16(base::to_bf16(value))
                       : codec == wire::CODEC_F16 ? base::from_f16(base::to_f16(value))
                                                  : value;
    if (!base::is_finite(sent)) break;
    ++index;
  }
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
  bool finite = false;
  if (codec == wire::CODEC_F32) {
    finite = base::all_finite(rows);
    std::memcpy(data.data(), rows.data(), data.size());
  } else if (codec == wire::CODEC_BF16) {
    finite = base::encode_bf16(rows, data.data());
  } else {
    finite = base::encode_f16(rows, data.data());
  }
  if (!finite) return not_finite(rows, hidden, codec);
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
  bool finite = false;
  if (message.codec() == wire::CODEC_F32) {
    std::memcpy(values.data(), message.data().data(), message.data().size());
    finite = base::all_finite(values);
  } else if (message.codec() == wire::CODEC_BF16) {
    finite = base::decode_bf16(message.data().data(), values);
  } else {
    finite = base::decode_f16(message.data().data(), values);
  }
  if (!finite) return not_finite(values, message.hidden(), wire::CODEC_F32);
  return values;
}

}  // namespace shoal::proto
