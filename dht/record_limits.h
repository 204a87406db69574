// SPDX-License-Identifier: Apache-2.0
// Bounds of the fields of a record, beside proto/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shoal::dht {

// Blocks of one model: four times the deepest we know of (Llama 3.1 405B has 126), and it bounds
// keys_of().
inline constexpr std::uint32_t kMaxModelBlocks = 512;
// IPv4 and IPv6, each public and on the local network.
inline constexpr std::size_t kMaxRecordAddresses = 4;
// "f32/bf16" and its like.
inline constexpr std::size_t kMaxComputeBytes = 32;

inline constexpr std::string_view kRecordDomain = "shoal-record-v1";

}  // namespace shoal::dht
