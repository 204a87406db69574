// SPDX-License-Identifier: Apache-2.0
// Activations between memory (f32 rows) and the wire. Decoding is total: every shape, size and
// value is checked before anything is allocated, and non-finite values are refused. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/activation.pb.h"

namespace shoal::proto {

std::size_t codec_bytes(wire::Codec codec);  // 0 for an unknown codec
std::string_view codec_name(wire::Codec codec);

// rows [rows, hidden] -> message. INVALID_ARGUMENT if a value is not finite, also after rounding to
// the codec.
absl::StatusOr<wire::Activation> encode_activation(std::span<const float> rows,
                                                   std::uint32_t row_count, std::uint32_t hidden,
                                                   wire::Codec codec);

// Checks codec, 1 <= rows <= max_rows, hidden == expected_hidden, size, finiteness; returns [rows,
// hidden].
absl::StatusOr<std::vector<float>> decode_activation(const wire::Activation& message,
                                                     std::uint32_t expected_hidden,
                                                     std::uint32_t max_rows);

}  // namespace shoal::proto
