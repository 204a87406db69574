// SPDX-License-Identifier: Apache-2.0
#include "node/device/refusal.h"

#include "proto/limits.h"
#include "proto/printable.h"

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

}  // namespace shoal::node
