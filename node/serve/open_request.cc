// SPDX-License-Identifier: Apache-2.0
#include "node/serve/open_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/activation.h"
#include "proto/span_service.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

Refusal refused(absl::StatusCode code, std::string reason) {
  return {.code = code, .reason = std::move(reason)};
}

Refusal malformed(std::string what) {
  return refused(absl::StatusCode::kInvalidArgument, fmt::format("open: {}", what));
}

}  // namespace

std::uint32_t rows_per_step(std::uint32_t hidden) {
  const std::size_t rows =
      proto::kMaxChunkBytes / (std::max<std::size_t>(hidden, 1) * sizeof(float));
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(rows, 1, proto::kMaxRowsPerStep));
}

std::optional<Refusal> check_version(const wire::Version& version) {
  auto reason = proto::why_version_refused(version, "you speak", "this node speaks");
  if (!reason) return std::nullopt;
  return refused(absl::StatusCode::kFailedPrecondition, *std::move(reason));
}

std::optional<std::vector<proto::PageHash>> parse_hashes(std::string_view bytes) {
  constexpr std::size_t kSize = proto::PageHash::kSize;
  if (bytes.size() % kSize != 0 || bytes.size() / kSize > proto::kMaxPrefixPages) {
    return std::nullopt;
  }
  std::vector<proto::PageHash> hashes;
  hashes.reserve(bytes.size() / kSize);
  for (std::size_t i = 0; i < bytes.size(); i += kSize) {
    hashes.push_back(*proto::PageHash::from_bytes(bytes.substr(i, kSize)));
  }
  return hashes;
}

namespace {

// What of the model's ends the session asks for.
std::optional<Refusal> parse_ends(const NodeFacts& facts, const wire::Open& open,
                                  OpenRequest& request) {
  request.embed = open.embed();
  request.score = open.score();
  if (request.embed && (request.span.begin != 0 || request.previous)) {
    return malformed("only the first hop, with the first block, embeds token ids");
  }
  if (request.score && (request.span.end != facts.offer.block_count || request.next)) {
    return malformed("only the last hop, with the last block, scores rows");
  }
  if (request.embed && !facts.offer.ends.embeds) {
    return refused(absl::StatusCode::kFailedPrecondition,
                   "this node does not embed token ids: send it rows, or ask one that does");
  }
  if (request.score && !facts.offer.ends.has_head()) {
    return refused(absl::StatusCode::kFailedPrecondition,
                   "this node serves no head: take its rows, or ask one that does");
  }
  return std::nullopt;
}

}  // namespace

std::variant<OpenRequest, Refusal> parse_open(const NodeFacts& facts, const wire::Open& open) {
  if (auto refusal = check_version(open.version())) return *refusal;
  OpenRequest request;

  const auto id = proto::SessionId::from_bytes(open.session_id());
  if (!id) return malformed("session_id is not 16 bytes");
  request.session_id = *id;

  const auto digest = proto::Digest::from_bytes(open.model_digest());
  if (!digest) return malformed("model_digest is not 32 bytes");
  if (*digest != facts.offer.model_digest) {
    return refused(
        absl::StatusCode::kFailedPrecondition,
        fmt::format(
            "the models differ: you have {}, this node serves {} ({}); use the same model files",
            to_string(*digest), to_string(facts.offer.model_digest), facts.offer.model_name));
  }

  request.span = {open.span().begin(), open.span().end()};
  if (request.span.empty() || !facts.offer.span.contains(request.span)) {
    return refused(absl::StatusCode::kOutOfRange,
                   fmt::format("blocks {} were asked for, this node serves {}",
                               proto::to_string(request.span), proto::to_string(facts.offer.span)));
  }

  request.max_positions = open.max_positions();
  if (request.max_positions == 0 || request.max_positions > facts.max_positions) {
    return refused(absl::StatusCode::kOutOfRange,
                   fmt::format("{} positions were asked for, a session here may have 1 to {}",
                               request.max_positions, facts.max_positions));
  }
  request.epoch = open.epoch();

  if (open.hop_token().empty() != open.previous_peer_id().empty()) {
    return malformed("hop_token and previous_peer_id belong together");
  }
  if (!open.hop_token().empty()) {
    const auto token = proto::HopToken::from_bytes(open.hop_token());
    const auto peer = proto::PeerId::from_bytes(open.previous_peer_id());
    if (!token) return malformed("hop_token is not 16 bytes");
    if (!peer) return malformed("previous_peer_id is not 32 bytes");
    request.previous = PreviousHop{*peer, *token};
  }

  if (open.has_next()) {
    const auto peer = proto::PeerId::from_bytes(open.next().peer_id());
    const auto token = proto::HopToken::from_bytes(open.next().hop_token());
    if (!peer) return malformed("next.peer_id is not 32 bytes");
    if (!token) return malformed("next.hop_token is not 16 bytes");
    if (*peer == facts.peer_id) return malformed("next is this node itself");
    if (request.span.end >= facts.offer.block_count) {
      return malformed("there is no block after the last one: it has no next hop");
    }
    request.next = NextHop{*peer, *token};
  }

  request.codec = open.codec();
  if (proto::codec_bytes(request.codec) == 0) {
    return malformed(fmt::format("codec {} is not known here", static_cast<int>(open.codec())));
  }

  auto prefix = parse_hashes(open.prefix());
  if (!prefix || prefix->size() > request.max_positions / proto::kPrefixPagePositions) {
    return malformed(
        fmt::format("prefix has {} bytes: 16 for each of at most {} pages", open.prefix().size(),
                    std::min<std::size_t>(request.max_positions / proto::kPrefixPagePositions,
                                          proto::kMaxPrefixPages)));
  }
  request.prefix = *std::move(prefix);
  if (auto refusal = parse_ends(facts, open, request)) return *std::move(refusal);
  return request;
}

}  // namespace shoal::node
