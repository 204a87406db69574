// SPDX-License-Identifier: Apache-2.0
// What a node offers, in its record and when it is asked: which blocks of which model, computed
// how, and how busy it is. Plain values; total conversion from and to proto/offer.proto, every
// field bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "proto/offer.pb.h"
#include "proto/types.h"

namespace shoal::proto {

// A number without a name here is a kind that a later version knows.
enum class Compute : std::uint8_t { kUnknown = 0, kF32 = 1, kI8 = 2, kMma8 = 3, kMma9 = 4 };
enum class WeightFormat : std::uint8_t {
  kUnknown = 0,
  kF32 = 1,
  kBf16 = 2,
  kF16 = 3,
  kQ8 = 4,
  kQ4 = 5,
  kQ4S = 6
};
enum class KvFormat : std::uint8_t { kUnknown = 0, kF32 = 1, kBf16 = 2, kF16 = 3, kI8 = 4 };

// What decides the bits of a result: nodes that agree in it agree in every bit.
struct Numerics {
  Compute compute = Compute::kUnknown;
  WeightFormat weights = WeightFormat::kUnknown;
  KvFormat kv = KvFormat::kUnknown;
  friend bool operator==(const Numerics&, const Numerics&) = default;
};
// "f32/bf16": arithmetic / stored weights; "f32/bf16, KV bf16" where KV is kept in another type
// than f32.
std::string to_string(const Numerics& numerics);
// "bf16", as safetensors files call it in capitals; kUnknown for what has no name.
WeightFormat weight_format_of(std::string_view name);
// Likewise "i8", as --kv-dtype calls it.
KvFormat kv_format_of(std::string_view name);

// What of a model's ends a node serves: only a span that begins with the first block embeds, and
// only one that ends with the last has a head.
struct Ends {
  bool embeds = false;
  WeightFormat head = WeightFormat::kUnknown;  // how it keeps it; kUnknown: none
  bool has_head() const { return head != WeightFormat::kUnknown; }
  friend bool operator==(const Ends&, const Ends&) = default;
};
std::string to_string(WeightFormat format);  // "q8"

// Fixed while a node serves.
struct Offer {
  Digest model_digest;
  std::string model_name;
  std::uint32_t block_count = 0;  // of the whole model
  Span span;
  Numerics numerics;
  std::string public_name;
  Ends ends{};
  std::uint32_t movable_blocks = 0;  // that it would serve elsewhere; 0: its span stays
  friend bool operator==(const Offer&, const Offer&) = default;
};

// What changes.
struct Load {
  NodeState state = NodeState::kOffline;
  double block_step_us = 0;  // one decode row through one block; 0: not measured
  std::uint32_t free_kv_positions = 0;
  std::uint32_t queue_depth = 0;  // steps
  Span moving_to{};               // which it does not serve yet; empty: it stays
  friend bool operator==(const Load&, const Load&) = default;
};

// nullopt when a number is no kind, known or not.
std::optional<Numerics> numerics_from_wire(int compute, int weights, int kv);

// nullopt when a number is no kind.
std::optional<Ends> ends_from_wire(bool embeds, int head);

// Names are made clean, and cut to kMaxNameBytes.
wire::Offer to_wire(const Offer& offer);
wire::Load to_wire(const Load& load);

// INVALID_ARGUMENT says what is wrong: "its span is not within the model". An empty span is inside.
absl::StatusOr<Offer> from_wire(const wire::Offer& in);
absl::StatusOr<Load> from_wire(const wire::Load& in);

}  // namespace shoal::proto
