// SPDX-License-Identifier: Apache-2.0
#include "proto/tunnel.h"

#include <algorithm>

#include "base/check.h"
#include "proto/limits.h"
#include "proto/tunnel.pb.h"

namespace shoal::proto {
namespace {

std::string with_size(const std::string& bytes) {
  CHECK(bytes.size() <= kMaxTunnelMessageBytes);
  std::string result;
  result += static_cast<char>(bytes.size() >> 8);
  result += static_cast<char>(bytes.size());
  return result + bytes;
}

absl::Status no_message() { return absl::InvalidArgumentError("that is no message of a relay's"); }

bool take_endpoint(const std::string& bytes, Endpoint& endpoint) {
  const auto decoded = decode_endpoint(bytes);
  if (decoded) endpoint = *decoded;
  return decoded.has_value();
}

}  // namespace

const char* words_of(TunnelRefusal refusal) {
  switch (refusal) {
    case TunnelRefusal::kNotParked:
      return "the node is not connected with it (any more)";
    case TunnelRefusal::kFull:
      return "it has no room for more";
    case TunnelRefusal::kYourShare:
      return "we have used up our share of it";
    case TunnelRefusal::kTheirShare:
      return "the node has used up its share of it";
    case TunnelRefusal::kStopping:
      return "it is shutting down";
    case TunnelRefusal::kNone:
    case TunnelRefusal::kCount:
      break;
  }
  return "for a reason that this version does not know";
}

std::string encode_tunnel_request(const TunnelRequest& request) {
  wire::TunnelRequest out;
  if (request.target) {
    out.mutable_call()->set_target(request.target->to_bytes());
  } else {
    out.mutable_park()->set_last(request.last);
  }
  return with_size(out.SerializeAsString());
}

std::string encode_tunnel_reply(const TunnelReply& reply) {
  wire::TunnelReply out;
  switch (reply.kind) {
    case TunnelReply::Kind::kParked:
      out.mutable_parked()->set_observed(encode_endpoint(reply.endpoint));
      break;
    case TunnelReply::Kind::kStart:
      out.mutable_start()->set_caller(encode_endpoint(reply.endpoint));
      break;
    case TunnelReply::Kind::kOpen:
      out.mutable_open()->set_observed(encode_endpoint(reply.endpoint));
      break;
    case TunnelReply::Kind::kRefused:
      out.mutable_refused()->set_reason(static_cast<std::uint32_t>(reply.refusal));
      out.mutable_refused()->set_retry_ms(reply.retry_ms);
      break;
  }
  return with_size(out.SerializeAsString());
}

absl::StatusOr<TunnelRequest> decode_tunnel_request(std::string_view bytes) {
  wire::TunnelRequest in;
  if (bytes.size() > kMaxTunnelMessageBytes ||
      !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return no_message();
  }
  if (in.has_park()) return TunnelRequest{.last = in.park().last()};
  if (!in.has_call()) return no_message();
  const auto target = PeerId::from_bytes(in.call().target());
  if (!target) return no_message();
  return TunnelRequest{.target = *target};
}

absl::StatusOr<TunnelReply> decode_tunnel_reply(std::string_view bytes) {
  wire::TunnelReply in;
  if (bytes.size() > kMaxTunnelMessageBytes ||
      !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return no_message();
  }
  TunnelReply reply;
  switch (in.what_case()) {
    case wire::TunnelReply::kParked:
      reply.kind = TunnelReply::Kind::kParked;
      if (!take_endpoint(in.parked().observed(), reply.endpoint)) return no_message();
      return reply;
    case wire::TunnelReply::kStart:
      reply.kind = TunnelReply::Kind::kStart;
      if (!take_endpoint(in.start().caller(), reply.endpoint)) return no_message();
      return reply;
    case wire::TunnelReply::kOpen:
      reply.kind = TunnelReply::Kind::kOpen;
      if (!take_endpoint(in.open().observed(), reply.endpoint)) return no_message();
      return reply;
    case wire::TunnelReply::kRefused:
      reply.kind = TunnelReply::Kind::kRefused;
      reply.refusal = static_cast<TunnelRefusal>(
          std::min(in.refused().reason(), static_cast<std::uint32_t>(TunnelRefusal::kCount)));
      reply.retry_ms = std::min(in.refused().retry_ms(), kMaxTunnelRetryMs);
      return reply;
    case wire::TunnelReply::WHAT_NOT_SET:
      break;
  }
  return no_message();
}

}  // namespace shoal::proto
