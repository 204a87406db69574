// SPDX-License-Identifier: Apache-2.0
#include "proto/description.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "proto/version.h"

namespace shoal::proto {
namespace {

absl::Status bad(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("describes itself wrongly: ", why));
}

absl::StatusOr<Serving> serving_of(const wire::DescribeReply& in) {
  auto offer = from_wire(in.offer());
  if (!offer.ok()) return bad(std::string(offer.status().message()));
  if (offer->span.empty()) return bad("it serves no block");
  if (!std::isfinite(in.head_us()) || in.head_us() < 0) return bad("its head's time is not a time");
  return Serving{*std::move(offer),  {in.sessions(), in.max_sessions(), in.total_kv_positions()},
                 in.hidden(),        in.max_rows_per_step(),
                 in.max_positions(), in.head_us()};
}

}  // namespace

wire::DescribeReply to_wire(const Description& description) {
  wire::DescribeReply out;
  *out.mutable_version() = our_version();
  out.set_peer_id(description.peer.to_bytes());
  out.set_run(description.run);
  *out.mutable_load() = to_wire(description.load);
  if (!description.serving) return out;
  const Serving& serving = *description.serving;
  *out.mutable_offer() = to_wire(serving.offer);
  out.set_hidden(serving.hidden);
  out.set_max_rows_per_step(serving.max_rows_per_step);
  out.set_max_positions(serving.max_positions);
  out.set_total_kv_positions(serving.occupancy.total_kv_positions);
  out.set_sessions(serving.occupancy.sessions);
  out.set_max_sessions(serving.occupancy.max_sessions);
  out.set_head_us(static_cast<float>(serving.head_us));
  for (const wire::Codec codec : {wire::CODEC_F32, wire::CODEC_BF16, wire::CODEC_F16}) {
    out.add_codecs(codec);
  }
  return out;
}

absl::StatusOr<Description> from_wire(const wire::DescribeReply& in) {
  if (const auto refusal = why_version_refused(in.version(), "speaks", "this program speaks")) {
    return absl::FailedPreconditionError(*refusal);
  }
  const auto peer = PeerId::from_bytes(in.peer_id());
  if (!peer) return bad("its peer id is not 32 bytes");
  const auto load = from_wire(in.load());
  if (!load.ok()) return bad(std::string(load.status().message()));
  Description description{*peer, in.run(), *load, std::nullopt, in.version().minor()};
  if (!in.has_offer()) return description;
  auto serving = serving_of(in);
  if (!serving.ok()) return serving.status();
  description.serving = *std::move(serving);
  return description;
}

}  // namespace shoal::proto
