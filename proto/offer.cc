// SPDX-License-Identifier: Apache-2.0
#include "proto/offer.h"

#include <cmath>
#include <limits>
#include <span>

#include "absl/strings/str_cat.h"
#include "proto/limits.h"
#include "proto/name.h"

namespace shoal::proto {
namespace {

constexpr const char* kComputeNames[] = {"unknown", "f32", "i8", "mma8", "mma9"};
constexpr const char* kWeightNames[] = {"unknown", "f32", "bf16", "f16", "q8", "q4", "q4s"};
constexpr const char* kKvNames[] = {"unknown", "f32", "bf16", "f16", "i8"};

template <typename Kind>
std::string name_of(Kind kind, std::span<const char* const> names) {
  const auto number = static_cast<std::size_t>(kind);
  if (number < names.size()) return names[number];
  return absl::StrCat("kind ", number);
}

template <typename Kind>
Kind kind_named(std::string_view name, std::span<const char* const> names) {
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<Kind>(i);
  }
  return Kind::kUnknown;
}

absl::Status bad(const char* why) { return absl::InvalidArgumentError(why); }

bool fits_a_kind(int number) {
  return number >= 0 && number <= std::numeric_limits<std::uint8_t>::max();
}

bool is_name(std::string_view text) { return text.size() <= kMaxNameBytes && is_clean_name(text); }

}  // namespace

std::string to_string(const Numerics& numerics) {
  std::string text = absl::StrCat(name_of(numerics.compute, kComputeNames), "/",
                                  name_of(numerics.weights, kWeightNames));
  if (numerics.kv != KvFormat::kF32) {
    absl::StrAppend(&text, ", KV ", name_of(numerics.kv, kKvNames));
  }
  return text;
}

std::string to_string(WeightFormat format) { return name_of(format, kWeightNames); }

WeightFormat weight_format_of(std::string_view name) {
  return kind_named<WeightFormat>(name, kWeightNames);
}

KvFormat kv_format_of(std::string_view name) { return kind_named<KvFormat>(name, kKvNames); }

wire::Offer to_wire(const Offer& offer) {
  wire::Offer out;
  out.set_model_digest(offer.model_digest.to_bytes());
  out.set_model_name(clean_name(offer.model_name, kMaxNameBytes));
  out.set_block_count(offer.block_count);
  out.set_span_begin(offer.span.begin);
  out.set_span_end(offer.span.end);
  out.set_compute(static_cast<wire::Compute>(offer.numerics.compute));
  out.set_weights(static_cast<wire::WeightFormat>(offer.numerics.weights));
  out.set_kv(static_cast<wire::KvFormat>(offer.numerics.kv));
  out.set_public_name(clean_name(offer.public_name, kMaxNameBytes));
  out.set_embeds(offer.ends.embeds);
  out.set_head(static_cast<wire::WeightFormat>(offer.ends.head));
  out.set_movable_blocks(offer.movable_blocks);
  return out;
}

wire::Load to_wire(const Load& load) {
  wire::Load out;
  out.set_state(static_cast<std::uint32_t>(load.state));
  out.set_block_step_us(static_cast<float>(load.block_step_us));
  out.set_free_kv_positions(load.free_kv_positions);
  out.set_queue_depth(load.queue_depth);
  if (!load.moving_to.empty()) {
    out.set_moving_begin(load.moving_to.begin);
    out.set_moving_end(load.moving_to.end);
  }
  return out;
}

std::optional<Numerics> numerics_from_wire(int compute, int weights, int kv) {
  if (!fits_a_kind(compute) || !fits_a_kind(weights) || !fits_a_kind(kv)) return std::nullopt;
  return Numerics{static_cast<Compute>(compute), static_cast<WeightFormat>(weights),
                  static_cast<KvFormat>(kv)};
}

std::optional<Ends> ends_from_wire(bool embeds, int head) {
  if (!fits_a_kind(head)) return std::nullopt;
  return Ends{embeds, static_cast<WeightFormat>(head)};
}

absl::StatusOr<Offer> from_wire(const wire::Offer& in) {
  const auto digest = Digest::from_bytes(in.model_digest());
  if (!digest) return bad("its model digest has the wrong size");
  if (in.block_count() == 0 || in.block_count() > kMaxModelBlocks)
    return bad("its block count is out of range");
  if (in.span_begin() > in.span_end() || in.span_end() > in.block_count())
    return bad("its span is not within the model");
  const auto numerics = numerics_from_wire(in.compute(), in.weights(), in.kv());
  if (!numerics) return bad("the kind of its arithmetic is out of range");
  const auto ends = ends_from_wire(in.embeds(), in.head());
  if (!ends) return bad("the kind of its head is out of range");
  if ((ends->embeds && in.span_begin() != 0) ||
      (ends->has_head() && in.span_end() != in.block_count()))
    return bad("it offers an end of the model that its span does not reach");
  if (in.movable_blocks() > in.block_count())
    return bad("it would move more blocks than there are");
  if (!is_name(in.model_name()) || !is_name(in.public_name()))
    return bad("a name in it is too long or has control characters");
  Offer offer;
  offer.model_digest = *digest;
  offer.model_name = in.model_name();
  offer.block_count = in.block_count();
  offer.span = {in.span_begin(), in.span_end()};
  offer.numerics = *numerics;
  offer.public_name = in.public_name();
  offer.ends = *ends;
  offer.movable_blocks = in.movable_blocks();
  return offer;
}

absl::StatusOr<Load> from_wire(const wire::Load& in) {
  if (in.state() > static_cast<std::uint32_t>(NodeState::kDraining))
    return bad("its state is unknown");
  if (!std::isfinite(in.block_step_us()) || in.block_step_us() < 0)
    return bad("its step time is not a time");
  if (in.moving_begin() > in.moving_end() || in.moving_end() > kMaxModelBlocks)
    return bad("it moves to a span that no model has");
  return Load{static_cast<NodeState>(in.state()), in.block_step_us(), in.free_kv_positions(),
              in.queue_depth(), Span{in.moving_begin(), in.moving_end()}};
}

}  // namespace shoal::proto
