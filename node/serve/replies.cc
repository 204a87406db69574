// SPDX-License-Identifier: Apache-2.0
#include "node/serve/replies.h"

#include "proto/limits.h"
#include "proto/printable.h"
#include "proto/version.h"

namespace shoal::node {

wire::Failure to_failure(const Refusal& refusal) {
  wire::Failure failure;
  failure.set_code(static_cast<std::uint32_t>(refusal.code));  // absl and gRPC share the numbers
  failure.set_reason(proto::printable(refusal.reason, proto::kMaxReasonBytes));
  failure.set_retry_after_ms(refusal.retry_after_ms);
  if (refusal.at_fault) failure.set_peer_id(refusal.at_fault->to_bytes());
  failure.set_epoch(refusal.epoch);
  failure.set_step_id(refusal.step_id);
  return failure;
}

wire::HopFrame welcome(const OpenRequest& request, const NodeFacts& facts, std::uint32_t kept) {
  wire::HopFrame frame;
  wire::Welcome& welcome = *frame.mutable_welcome();
  *welcome.mutable_version() = proto::our_version();
  welcome.mutable_span()->set_begin(request.span.begin);
  welcome.mutable_span()->set_end(request.span.end);
  welcome.set_max_positions(request.max_positions);
  welcome.set_max_rows_per_step(facts.max_rows_per_step);
  welcome.set_idle_timeout_ms(proto::kSessionIdleTimeoutMs);
  welcome.set_kept_positions(kept);
  const wire::Offer offer = proto::to_wire(facts.offer);
  welcome.set_compute(offer.compute());
  welcome.set_weights(offer.weights());
  welcome.set_kv(offer.kv());
  welcome.set_embeds(request.embed);
  if (request.score) welcome.set_head(offer.head());
  return frame;
}

wire::PushOpen push_open(const OpenRequest& request) {
  wire::PushOpen open;
  *open.mutable_version() = proto::our_version();
  open.set_session_id(request.session_id.to_bytes());
  open.set_hop_token(request.next->token.to_bytes());
  return open;
}

}  // namespace shoal::node
